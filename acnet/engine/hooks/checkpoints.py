"""Checkpoints: the periodic ones, of which the oldest go, and the best one."""

import logging
import math
import re
from pathlib import Path

import torch
from detectron2.engine import SimpleTrainer, hooks

from acnet.checkpoint import ACNetCheckpointer
from acnet.engine.hooks.past_iteration import past_iteration

logger = logging.getLogger(__name__)

BEST_NAME, FINAL_NAME = "model_best", "model_final"
_PERIODIC_NAME = re.compile(r"model_(\d{7})\.pth")


class PeriodicCheckpointer(hooks.PeriodicCheckpointer):
    """detectron2's hook, which here also minds what was saved, or not, before a resume."""

    def before_train(self) -> None:
        """Count older checkpoints for `max_to_keep`, and save the final one if a kill did not."""
        super().before_train()
        trainer, folder = self.trainer, Path(self.checkpointer.save_dir)
        if self.max_to_keep is not None:
            self.recent_checkpoints = self._checkpoints_before(trainer.start_iter)
        if trainer.start_iter == trainer.max_iter and not (folder / f"{FINAL_NAME}.pth").is_file():
            with past_iteration(trainer, trainer.start_iter - 1):
                self.after_step()

    def _checkpoints_before(self, iteration: int) -> list[str]:
        folder = Path(self.checkpointer.save_dir)
        found = [(path, _PERIODIC_NAME.fullmatch(path.name)) for path in sorted(folder.iterdir())]
        return [str(path) for path, match in found if match and int(match[1]) < iteration]


class _BestCheckpointer(ACNetCheckpointer):
    """Saves without becoming the checkpoint that a resume starts from."""

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Leave `last_checkpoint` as it is."""


class BestCheckpoint:
    """Keeps the checkpoint that scored best as `model_best.pth`, with the score inside the file.

    Args:
        trainer: whose model and state are saved.
        output_dir: folder of the run.
        metric: a name in the flat results, such as "bbox/AP50"; higher is better.
        resume: whether a `model_best.pth` that is there belongs to this run.
    """

    def __init__(self, trainer: SimpleTrainer, *, output_dir: str, metric: str, resume: bool):
        self._checkpointer = _BestCheckpointer(trainer.model, output_dir, trainer=trainer)
        self._metric = metric
        self.best_value = self._stored_value() if resume else -math.inf

    def update(self, results: dict[str, float], *, iteration: int) -> None:
        """Save the model if its results beat all before; NaN beats nothing.

        Args:
            results: flat, from metric name to value.
            iteration: just trained.
        """
        value = results.get(self._metric, math.nan)
        if self._metric not in results:
            logger.warning(
                "No best checkpoint is kept, since train.best_metric=%s is not among the results. "
                "Set it to one of: %s.",
                *(self._metric, ", ".join(sorted(results))),
            )
        if not value > self.best_value:
            return
        logger.info("Best %s so far: %.4f at iteration %d.", self._metric, value, iteration)
        self.best_value = value
        best = {"metric": self._metric, "value": value}
        self._checkpointer.save(BEST_NAME, iteration=iteration, best=best)

    def _stored_value(self) -> float:
        path = Path(self._checkpointer.save_dir) / f"{BEST_NAME}.pth"
        if not path.is_file():
            return -math.inf
        best = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["best"]
        return best["value"] if best["metric"] == self._metric else -math.inf
