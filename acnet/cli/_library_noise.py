"""Warnings about libraries' insides, which no user of ours can mend."""

import logging
import warnings


def hide_library_noise() -> None:
    """Hide what detectron2 of April 2024 makes newer versions of torch say; call it before both."""
    warnings.filterwarnings("ignore", r".*torch\.(jit\.script|meshgrid)")
    for name in ("torch.fx._symbolic_trace", "torch._export.serde.serialize"):
        logging.getLogger(name).setLevel(logging.ERROR)
