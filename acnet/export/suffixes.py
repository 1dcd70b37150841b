"""The endings by which exported files are known."""

import os
from pathlib import Path

ONNX, PT2 = ".onnx", ".pt2"
EXPORT_SUFFIXES = (ONNX, PT2)


def is_export(path: str | os.PathLike | None) -> bool:
    """Tell by its name whether a file is an exported model."""
    return path is not None and Path(path).suffix in EXPORT_SUFFIXES
