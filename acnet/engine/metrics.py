"""The metrics of a run: `metrics.json`, exact across kills, and the recent past of each scalar."""

import json
import math
import os
from pathlib import Path
from typing import Any

from detectron2.utils.events import EventStorage, EventWriter, get_event_storage

from acnet.files import write_text

WINDOW = 20  # iterations that detectron2's writers smooth over


def recent_scalars(storage: EventStorage) -> dict[str, dict[str, Any]]:
    """Collect what the writers need to go on later: the last values of each scalar.

    Of each name these are [value, iteration] and whether it is smoothed; plain numbers and lists
    only, so that a checkpoint with it loads safely.
    """
    hints = storage.smoothing_hints()
    return {
        name: {
            "values": [[float(v), int(i)] for v, i in history.values()[-WINDOW:]],
            "smooth": hints[name],
        }
        for name, history in storage.histories().items()
    }


def restore_scalars(storage: EventStorage, saved: dict[str, dict[str, Any]]) -> None:
    """Put the scalars of `recent_scalars` into a storage that has none of them yet."""
    for name, scalar in saved.items():
        for value, iteration in scalar["values"]:
            storage.put_scalar(name, value, smoothing_hint=scalar["smooth"], cur_iter=iteration)


class MetricsFile(EventWriter):
    """Appends a row with every scalar that is new since the last row.

    detectron2's JSONWriter starts a resumed run by forgetting what it wrote, gives late scalars
    rows of their own, and writes NaN, which is not JSON. Here each `write` adds exactly one row,
    under the storage's iteration; smoothed scalars are medians of 20 iterations, as there, and a
    scalar that is not finite is left out. `last_iteration` is that of the file's last row, or -1.
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

    A file that does not exist has no rows.

    Raises:
        json.JSONDecodeError: a line other than the last is broken.
    """
    path = Path(path)
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else [""]
    return [json.loads(line) for line in lines[:-1]]  # what follows the last newline is unfinished


def cut_metrics(path: str | os.PathLike, *, start_iter: int) -> int:
    """Cut the rows that a run starting at `start_iter` will write again, and a half-written line.

    Returns:
        The iteration of the last row kept, or -1.
    """
    path = Path(path)
    rows = [row for row in read_metrics(path) if row["iteration"] < start_iter]
    if path.is_file():
        write_text(path, "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    return rows[-1]["iteration"] if rows else -1
