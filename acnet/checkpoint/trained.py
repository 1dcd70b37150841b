"""Loading weights to use them, where nothing may stay random and nothing be left over."""

import os

from torch import nn

from acnet.errors import WeightsMismatchError

from .checkpointer import ACNetCheckpointer
from .report import shorten

__all__ = ["load_trained_weights"]


def load_trained_weights(model: nn.Module, weights: str | os.PathLike) -> None:
    """Fill a model from a checkpoint of its own training.

    Args:
        model: to be filled in place, on any device.
        weights: of a training with the model's config.

    Raises:
        WeightsMismatchError: model and file do not fit each other exactly, or their input
            conventions differ.
        UnreadableFileError: the file cannot be read safely.
    """
    checkpointer = ACNetCheckpointer(model)
    checkpointer.load(os.fspath(weights), checkpointables=[])
    report = checkpointer.report
    if report.is_complete:
        return
    missing = [name for part in report.random for name in part.names]
    raise WeightsMismatchError(
        "Trained weights fill the whole model and nothing else, or its results mean nothing. "
        f"Received {weights}; missing or of another shape: {shorten(missing, 3)}; not in the "
        f"model: {shorten(report.unused, 3)}. Use the config of their training, such as the "
        "config.yaml beside them."
    )
