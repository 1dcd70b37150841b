"""Hooks of the trainer: seeds, checkpoints, the report after a step, and SIGTERM."""

import copy
import logging
import math
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from detectron2.engine import HookBase, SimpleTrainer, TrainerBase, hooks
from detectron2.evaluation.testing import flatten_results_dict
from detectron2.utils import comm
from detectron2.utils.events import EventWriter
from fvcore.common.checkpoint import Checkpointer

from acnet.checkpoint import ACNetCheckpointer
from acnet.engine.launch import unwrap
from acnet.engine.loader import derive_seed, seed_everything
from acnet.errors import UserError

logger = logging.getLogger(__name__)

BEST_NAME, FINAL_NAME = "model_best", "model_final"
_PERIODIC_NAME = re.compile(r"model_(\d{7})\.pth")
EXIT_CODE = 128 + signal.SIGTERM  # what a shell reports for a process that SIGTERM ended: 143


class SeedEveryStep(HookBase):
    """Reseed Python, numpy and torch before each step from (seed, iteration, rank).

    So a resumed run draws the random numbers of an unbroken one without a saved generator state,
    whatever an evaluation in between has drawn.
    """

    def __init__(self, seed: int):
        self._seed = seed

    def before_step(self) -> None:
        """Seed for the iteration that follows."""
        seed_everything(derive_seed(self._seed, self.trainer.iter, comm.get_rank()))


@contextmanager
def past_iteration(trainer: TrainerBase, iteration: int) -> Iterator[None]:
    """Let a trainer stand, inside the block, where it stood after an iteration of the past."""
    now = trainer.iter
    trainer.iter = trainer.storage.iter = iteration
    yield
    trainer.iter = trainer.storage.iter = now


class PeriodicCheckpointer(hooks.PeriodicCheckpointer):
    """detectron2's hook, which here also minds what was saved, or not, before a resume."""

    def before_train(self) -> None:
        """Count older checkpoints for `max_to_keep`, and save the final one if a kill did not."""
        super().before_train()
        trainer, folder = self.trainer, Path(self.checkpointer.save_dir)
        if self.max_to_keep is not None:
            found = [(str(p), _PERIODIC_NAME.fullmatch(p.name)) for p in sorted(folder.iterdir())]
            earlier = [path for path, name in found if name and int(name[1]) < trainer.start_iter]
            self.recent_checkpoints = earlier
        if trainer.start_iter == trainer.max_iter and not (folder / f"{FINAL_NAME}.pth").is_file():
            with past_iteration(trainer, trainer.start_iter - 1):
                self.after_step()


class _BestCheckpointer(ACNetCheckpointer):
    """Saves without becoming the checkpoint that a resume starts from."""

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Leave `last_checkpoint` as it is."""


class WeightAverage(HookBase):
    """Keeps an exponential moving average (EMA) of a model's weights and statistics.

    As a checkpointable of the name `ACNetCheckpointer.AVERAGE` it is resumed exactly. Its `model`
    is a copy that holds the average. A step leaves a share of it, `decay`, and the first steps
    leave less, or the average would long remember the start.
    """

    def __init__(self, model: torch.nn.Module, *, decay: float):
        if not 0 <= decay < 1:
            raise UserError(f"train.ema.decay is at least 0 and below 1. Received {decay}.")
        self.model = copy.deepcopy(unwrap(model)).requires_grad_(False)
        self._decay = decay
        self._is_resumed = False

    def before_train(self) -> None:
        """Begin with the weights that the training begins with, unless an average was resumed."""
        if not self._is_resumed:
            self.model.load_state_dict(unwrap(self.trainer.model).state_dict())

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the average; counters are copied."""
        steps = self.trainer.iter + 1
        decay = min(self._decay, steps / (steps + 9))
        average, latest = self.model.state_dict(), unwrap(self.trainer.model).state_dict()
        moving = [name for name, value in average.items() if value.is_floating_point()]
        values = [[state[name] for name in moving] for state in (average, latest)]
        torch._foreach_lerp_(*values, 1 - decay)
        for name in average.keys() - set(moving):
            average[name].copy_(latest[name])

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the average, by the model's names."""
        return self.model.state_dict()

    def load_state_dict(self, state_dict: dict[str, torch.Tensor]) -> None:
        """Go on from the average of a checkpoint."""
        self.model.load_state_dict(state_dict)
        self._is_resumed = True


class BestCheckpoint:
    """Keeps the checkpoint that scored best as `model_best.pth`, with the score inside the file.

    The trainer's state and model are saved, unless another `model` is evaluated. The metric is a
    name in the flat results, such as "bbox/AP50"; higher is better. `resume` says whether a
    `model_best.pth` in the run's folder belongs to this run.
    """

    def __init__(
        self,
        trainer: SimpleTrainer,
        *,
        output_dir: str,
        metric: str,
        resume: bool,
        model: torch.nn.Module | None = None,
    ):
        self._checkpointer = _BestCheckpointer(model or trainer.model, output_dir, trainer=trainer)
        self._metric = metric
        self.best_value = self._stored_value() if resume else -math.inf

    def update(self, results: dict[str, float], *, iteration: int) -> None:
        """Save the model if its results (flat, by metric) beat all before; NaN beats nothing."""
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


@dataclass(kw_only=True, eq=False)
class Report(HookBase):
    """Evaluates and writes what came out, when it is due.

    It stands after the periodic checkpointer, so that a kill during an evaluation, which may take
    long, loses no training. Such a run resumes after the iteration whose report is missing; this
    hook then makes that report first, and the metrics read as if nothing had happened.
    """

    evaluate: Callable[[], dict]  # gives nested results in the first process; called in all
    eval_period: int  # iterations between evaluations; 0 evaluates at the end only
    log_period: int
    writers: Sequence[EventWriter]  # of the first process, as is `best`
    best: BestCheckpoint | None
    last_reported: int  # iteration of the last report that was written in full, or -1

    def is_unfinished(self, iteration: int, max_iter: int) -> bool:
        """Tell whether the last iteration that was trained, or -1, still lacks its report."""
        periods = (self.eval_period, self.log_period)
        due = any(self._is_due(period, iteration, max_iter) for period in periods)
        return due and iteration != self.last_reported

    def before_train(self) -> None:
        """Make the report that a kill prevented."""
        last = self.trainer.start_iter - 1
        if self.is_unfinished(last, self.trainer.max_iter):
            with past_iteration(self.trainer, last):
                self.after_step()

    def after_step(self) -> None:
        """Evaluate and write, each if it is due."""
        iteration, max_iter = self.trainer.iter, self.trainer.max_iter
        evaluates = self._is_due(self.eval_period, iteration, max_iter)
        if evaluates:
            self._run_evaluation()
        if evaluates or self._is_due(self.log_period, iteration, max_iter):
            for writer in self.writers:
                writer.write()

    def after_train(self) -> None:
        """Close the files. What a broken step left is not written: the step will be done again."""
        for writer in self.writers:
            writer.close()

    def _run_evaluation(self) -> None:
        results = {name: float(v) for name, v in flatten_results_dict(self.evaluate()).items()}
        if self.best is not None:
            self.best.update(results, iteration=self.trainer.iter)
        finite = {name: value for name, value in results.items() if math.isfinite(value)}
        self.trainer.storage.put_scalars(**finite, smoothing_hint=False)
        comm.synchronize()  # evaluation takes each process another time

    @staticmethod
    def _is_due(period: int, iteration: int, max_iter: int) -> bool:
        if iteration < 0:
            return False
        return iteration == max_iter - 1 or (period > 0 and (iteration + 1) % period == 0)


class StopOnSigterm(HookBase):
    """Save a checkpoint and exit with 143 once SIGTERM has reached any process of the run."""

    def __init__(self, checkpointer: Checkpointer):
        self._checkpointer = checkpointer
        self._requested = False
        self._previous = signal.getsignal(signal.SIGTERM)

    def before_train(self) -> None:
        """Listen to SIGTERM."""
        signal.signal(signal.SIGTERM, self._request)

    def after_train(self) -> None:
        """Let SIGTERM mean what it did before."""
        signal.signal(signal.SIGTERM, self._previous)

    def after_step(self) -> None:
        """Stop all processes after the same step, if one of them was told to."""
        if any(comm.all_gather(self._requested)):
            self._save()
            comm.synchronize()  # nobody leaves before the first process has saved
            raise SystemExit(EXIT_CODE)

    def stop_if_requested(self) -> None:
        """Stop this process in the midst of an evaluation, which need not be finished.

        The last step is done and saved; a resumed run evaluates again. No other process is waited
        for, since they are not at the same image.

        Raises:
            SystemExit: with 143, if SIGTERM has come.
        """
        if self._requested:
            self._save()
            raise SystemExit(EXIT_CODE)

    def _request(self, signum: int, frame: object) -> None:
        self._requested = True

    def _save(self) -> None:
        iteration = self.trainer.iter
        logger.warning("Received SIGTERM after iteration %d: saving to resume.", iteration)
        self._checkpointer.save(f"model_{iteration:07d}", iteration=iteration)
