"""Checkpoints: saved whole, loaded without running code, and reported on."""

from .checkpointer import ACNetCheckpointer
from .errors import (
    CheckpointError,
    UnreadableFileError,
    UnsafeFileError,
    WeightsFileError,
    WeightsMismatchError,
)
from .report import LoadReport
from .trained import load_trained_weights

__all__ = [
    "ACNetCheckpointer",
    "CheckpointError",
    "LoadReport",
    "UnreadableFileError",
    "UnsafeFileError",
    "WeightsFileError",
    "WeightsMismatchError",
    "load_trained_weights",
]
