"""What the commands share: logging, and paths and numbers with their limits, for argparse."""

import argparse
import logging
import math
from pathlib import Path

from acnet.errors import printable


class _PrintableFormatter(logging.Formatter):
    """Keep what a file is called from giving commands to the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def set_up_logging(level: int = logging.INFO) -> None:
    """Let the library say what it does on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_PrintableFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("acnet").setLevel(level)


def path(text: str) -> Path:
    """Return a path; an empty one, of a variable that is not set, is not the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("a path is needed, received an empty one")
    return Path(text)


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
