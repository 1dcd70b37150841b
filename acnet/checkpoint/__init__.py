"""Checkpoints: saved whole, loaded without running code, and reported on."""

from .checkpointer import ACNetCheckpointer
from .report import LoadReport
from .trained import load_trained_weights

__all__ = ["ACNetCheckpointer", "LoadReport", "load_trained_weights"]
