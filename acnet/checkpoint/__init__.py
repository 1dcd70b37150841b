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

__all__ = [
    "ACNetCheckpointer",
    "CheckpointError",
    "LoadReport",
    "UnreadableFileError",
    "UnsafeFileError",
    "WeightsFileError",
    "WeightsMismatchError",
]
