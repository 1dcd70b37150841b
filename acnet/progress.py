"""Progress bars: one look, and few lines where nobody watches."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

__all__ = ["progress_bar"]

TERMINAL_INTERVAL_SECONDS = 0.1
LOG_INTERVAL_SECONDS = 30.0  # where stderr is a file


def progress_bar(iterable: Iterable | None = None, **options: Any) -> tqdm:
    """Return a bar on stderr that a log file is not flooded by.

    Args:
        iterable: What to go through; None for a bar that is moved by hand.
        options: As for `tqdm`.
    """
    interval = TERMINAL_INTERVAL_SECONDS if sys.stderr.isatty() else LOG_INTERVAL_SECONDS
    return tqdm(iterable, mininterval=interval, **options)
