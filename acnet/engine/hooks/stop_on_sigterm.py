"""A cluster takes a machine back with SIGTERM: finish the step, save, leave."""

import logging
import signal

from detectron2.engine import HookBase
from detectron2.utils import comm
from fvcore.common.checkpoint import Checkpointer

logger = logging.getLogger(__name__)

EXIT_CODE = 128 + signal.SIGTERM  # what a shell reports for a process that SIGTERM ended: 143


class StopOnSigterm(HookBase):
    """Save a checkpoint and exit with 143 once SIGTERM has reached any process of the run.

    Args:
        checkpointer: of model and trainer.
    """

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
        logger.warning("Received SIGTERM after iteration %d: saving to resume.", self.trainer.iter)
        iteration = self.trainer.iter
        self._checkpointer.save(f"model_{iteration:07d}", iteration=iteration)
