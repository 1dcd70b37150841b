"""Doing late what should have been done after an iteration, had there been no kill."""

from collections.abc import Iterator
from contextlib import contextmanager

from detectron2.engine import TrainerBase


@contextmanager
def past_iteration(trainer: TrainerBase, iteration: int) -> Iterator[None]:
    """Let a trainer stand, inside the block, where it stood after an iteration of the past.

    Args:
        trainer: with that iteration's state loaded.
        iteration: the last that was trained.
    """
    now = trainer.iter
    trainer.iter = trainer.storage.iter = iteration
    yield
    trainer.iter = trainer.storage.iter = now
