"""`metrics.json`: one JSON object a line, as detectron2 writes it, but exact across kills."""

import json
import math
import os
from pathlib import Path
from typing import Any

from detectron2.utils.events import EventWriter, get_event_storage

from acnet.engine.scalars import WINDOW
from acnet.files import write_text


class MetricsFile(EventWriter):
    """Appends a row with every scalar that is new since the last row.

    detectron2's JSONWriter starts a resumed run by forgetting what it wrote, gives late scalars
    rows of their own, and writes NaN, which is not JSON. Here each `write` adds exactly one row,
    under the storage's iteration; smoothed scalars are medians of 20 iterations, as there, and a
    scalar that is not finite is left out.

    Args:
        path: the file; new rows are appended.
        last_iteration: of the last row in the file, or -1.
    """

    def __init__(self, path: str | os.PathLike, *, last_iteration: int = -1):
        self._path = Path(path)
        self._last_iteration = last_iteration

    def write(self) -> None:
        """Append the row of the current iteration, and have it on disk before returning."""
        storage = get_event_storage()
        scalars = storage.latest_with_smoothing_hint(WINDOW)
        row = {
            name: value
            for name, (value, iteration) in scalars.items()
            if iteration > self._last_iteration and math.isfinite(value)
        }
        row["iteration"] = self._last_iteration = storage.iter
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, sort_keys=True, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def read_metrics(path: str | os.PathLike) -> list[dict[str, Any]]:
    """Read the rows of a metrics file, without a last line that a kill cut short.

    Args:
        path: of the file; one that does not exist has no rows.

    Returns:
        The rows in the file's order.

    Raises:
        json.JSONDecodeError: a line other than the last is broken.
    """
    path = Path(path)
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else [""]
    return [json.loads(line) for line in lines[:-1]]  # what follows the last newline is unfinished


def cut_metrics(path: str | os.PathLike, *, start_iter: int) -> int:
    """Cut the rows that a run starting at `start_iter` will write again, and a half-written line.

    Args:
        path: of the file, replaced atomically; none is made where there is none.
        start_iter: first iteration that will be trained.

    Returns:
        The iteration of the last row kept, or -1.
    """
    path = Path(path)
    rows = [row for row in read_metrics(path) if row["iteration"] < start_iter]
    if path.is_file():
        write_text(path, "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    return rows[-1]["iteration"] if rows else -1
