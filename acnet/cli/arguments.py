"""Numbers on the command line, with their limits, for argparse's `type`."""

import argparse
import math


def positive_int(text: str) -> int:
    """Returns a whole number above 0."""
    return _checked(text, int(text), "above 0", above=0.0)


def natural_int(text: str) -> int:
    """Returns a whole number from 0."""
    return _checked(text, int(text), "of at least 0")


def positive_float(text: str) -> float:
    """Returns a finite number above 0."""
    return _checked(text, float(text), "above 0", above=0.0)


def natural_float(text: str) -> float:
    """Returns a finite number from 0."""
    return _checked(text, float(text), "of at least 0")


def share(text: str) -> float:
    """Returns a number from 0 to 1."""
    return _checked(text, float(text), "from 0 to 1", most=1.0)


def positive_share(text: str) -> float:
    """Returns a number above 0 and at most 1."""
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
