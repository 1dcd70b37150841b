"""Checkpoints: saved whole, loaded without running code, and reported on.

Names are imported when they are first used, since the list of bundled weights needs no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpointer import ACNetCheckpointer, write_start
    from .load_report import LoadReport, load_trained_weights

_HOMES = {
    "ACNetCheckpointer": "checkpointer",
    "LoadReport": "load_report",
    "load_trained_weights": "load_report",
    "write_start": "checkpointer",
}
__all__ = ["ACNetCheckpointer", "LoadReport", "load_trained_weights", "write_start"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
