"""Evaluation, best checkpoint and writers, in that order, after the checkpoint of the iteration."""

import math
from collections.abc import Callable, Sequence

from detectron2.engine import HookBase
from detectron2.evaluation.testing import flatten_results_dict
from detectron2.utils import comm
from detectron2.utils.events import EventWriter

from acnet.engine.hooks.checkpoints import BestCheckpoint
from acnet.engine.hooks.past_iteration import past_iteration


class Report(HookBase):
    """Evaluates and writes what came out, when it is due.

    It stands after the periodic checkpointer, so that a kill during an evaluation, which may take
    long, loses no training. Such a run resumes after the iteration whose report is missing; this
    hook then makes that report first, and the metrics read as if nothing had happened.

    Args:
        evaluate: gives nested results in the first process; called in all.
        eval_period: iterations between evaluations; 0 evaluates at the end only.
        log_period: iterations between rows.
        writers: of the first process; empty in the others.
        best: keeps the best weights in the first process; None in the others.
        last_reported: iteration of the last report that was written in full, or -1.
    """

    def __init__(
        self,
        *,
        evaluate: Callable[[], dict],
        eval_period: int,
        log_period: int,
        writers: Sequence[EventWriter],
        best: BestCheckpoint | None,
        last_reported: int,
    ):
        self._evaluate = evaluate
        self._eval_period = eval_period
        self._log_period = log_period
        self._writers = writers
        self._best = best
        self._last_reported = last_reported

    def is_unfinished(self, iteration: int, max_iter: int) -> bool:
        """Tell whether an iteration that has been trained still lacks its report.

        Args:
            iteration: the last that was trained, or -1.
            max_iter: of the run.
        """
        due = self._is_due(self._eval_period, iteration, max_iter) or self._is_due(
            self._log_period, iteration, max_iter
        )
        return due and iteration != self._last_reported

    def before_train(self) -> None:
        """Make the report that a kill prevented."""
        last = self.trainer.start_iter - 1
        if self.is_unfinished(last, self.trainer.max_iter):
            with past_iteration(self.trainer, last):
                self.after_step()

    def after_step(self) -> None:
        """Evaluate and write, each if it is due."""
        iteration, max_iter = self.trainer.iter, self.trainer.max_iter
        evaluates = self._is_due(self._eval_period, iteration, max_iter)
        if evaluates:
            self._run_evaluation()
        if evaluates or self._is_due(self._log_period, iteration, max_iter):
            for writer in self._writers:
                writer.write()

    def after_train(self) -> None:
        """Close the files. What a broken step left is not written: the step will be done again."""
        for writer in self._writers:
            writer.close()

    def _run_evaluation(self) -> None:
        results = {name: float(v) for name, v in flatten_results_dict(self._evaluate()).items()}
        if self._best is not None:
            self._best.update(results, iteration=self.trainer.iter)
        finite = {name: value for name, value in results.items() if math.isfinite(value)}
        self.trainer.storage.put_scalars(**finite, smoothing_hint=False)
        comm.synchronize()  # evaluation takes each process another time

    @staticmethod
    def _is_due(period: int, iteration: int, max_iter: int) -> bool:
        if iteration < 0:
            return False
        return iteration == max_iter - 1 or (period > 0 and (iteration + 1) % period == 0)
