"""What the commands share: quiet libraries, and numbers with their limits, for argparse."""

import argparse
import logging
import math
import warnings


def hide_library_noise() -> None:
    """Hide what detectron2 of April 2024 makes newer versions of torch say; call it before both."""
    warnings.filterwarnings("ignore", r".*torch\.(jit\.script|meshgrid)")
    for name in ("torch.fx._symbolic_trace", "torch._export.serde.serialize"):
        logging.getLogger(name).setLevel(logging.ERROR)


def positive_int(text: str) -> int:
    """Return a whole number above 0."""
    return _checked(text, int(text), "above 0", above=0.0)


def natural_int(text: str) -> int:
    """Return a whole number from 0."""
    return _checked(text, int(text), "of at least 0")


def positive_float(text: str) -> float:
    """Return a finite number above 0."""
    return _checked(text, float(text), "above 0", above=0.0)


def natural_float(text: str) -> float:
    """Return a finite number from 0."""
    return _checked(text, float(text), "of at least 0")


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    return _checked(text, float(text), "from 0 to 1", most=1.0)


def positive_share(text: str) -> float:
    """Return a number above 0 and at most 1."""
    return _checked(text, float(text), "above 0 and at most 1", above=0.0, most=1.0)


def _checked(
    text: str,
    value: float,  # argparse reports the ValueError of a text that is no number
    rule: str,
    *,
    above: float | None = None,
    most: float = math.inf,
) -> float:
    low = value > above if above is not None else value >= 0
    if not low or not value <= most or not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"a number {rule} is needed, received {text}")
    return value
