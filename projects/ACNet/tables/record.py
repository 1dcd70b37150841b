"""What one training gave: a JSON file of numbers, and beside it the bootstrap's replicates.

Both are small enough for a repository, so that a table can be continued on another machine. The
replicates of two records of the same set are of the same drawn photos, hence paired.

Shape shorthand: R replicates, M numbers (`numbers.RESAMPLED`).
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acnet.errors import UserError
from acnet.files import atomic_write, write_json

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
UNDEFINED = np.iinfo(np.uint16).max
STEPS_A_PERCENT = 100  # replicates are kept to 0.01 %
# Differ between two runs of the same command, and say nothing of the model.
TIME_KEYS = ("times", "machine", "versions", "source")


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """One row, trained with one seed and measured on each test set.

    Args:
        content: of the JSON file: `row`, `form`, `seed`, `settings` (shared by all rows), `model`
            (this row's), `size`, `tests` (by set), `curve` (by iteration), and `TIME_KEYS`.
        replicates: by set, (R, M) percent; NaN where undefined.
        path: of the JSON file.
    """

    content: Mapping[str, Any]
    replicates: Mapping[str, np.ndarray]
    path: Path

    @property
    def row(self) -> str:
        """Name of the config."""
        return self.content["row"]

    @property
    def seed(self) -> int:
        """Of the training."""
        return self.content["seed"]

    @property
    def form(self) -> str:
        """Of the row: "letter" or "tuned"."""
        return self.content["form"]

    @property
    def settings(self) -> Mapping[str, Any]:
        """What all rows of a table share."""
        return self.content["settings"]

    def value(self, test: str, key: str) -> float | None:
        """Return a number on all photos of a set; None where it is undefined."""
        return self.content["tests"][test]["numbers"].get(key)


def record_path(results: Path, config: str, seed: int) -> Path:
    """Return where the record of a row and a seed is kept.

    Args:
        results: folder of all records.
        config: name of the row's config.
        seed: of the training.
    """
    return results / config / f"seed_{seed}.json"


def write_record(
    path: Path, content: Mapping[str, Any], replicates: Mapping[str, np.ndarray]
) -> None:
    """Write a record; the JSON file comes last, so that a record that can be read is whole.

    Args:
        path: of the JSON file.
        content: see `Record`.
        replicates: see `Record`.
    """
    steps = {name: _to_steps(values) for name, values in replicates.items()}
    with atomic_write(path.with_suffix(".npz")) as temporary:
        np.savez_compressed(temporary, **steps)
    write_json(path, {"schema_version": SCHEMA_VERSION, **content}, indent=1)


def read_record(path: Path) -> Record:
    """Read a record.

    Args:
        path: of the JSON file.

    Returns:
        The record.

    Raises:
        UserError: it is broken, or of another version of this format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {content['schema_version']}")
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
            replicates = {name: _from_steps(arrays[name]) for name in arrays.files}
        missing = set(content["tests"]) - set(replicates)
        if missing:
            raise ValueError(f"the .npz file lacks {', '.join(sorted(missing))}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"A record is a JSON file of version {SCHEMA_VERSION} with its .npz beside it. "
            f"Received {path}: {error}. Delete it, and the same command measures it again."
        ) from error
    return Record(content=content, replicates=replicates, path=path)


def read_records(results: Path) -> Iterator[Record]:
    """Read all records below a folder, in sorted order.

    Args:
        results: the folder; one that does not exist has none.
    """
    for path in sorted(results.rglob("seed_*.json")):
        yield read_record(path)


def _to_steps(values: np.ndarray) -> np.ndarray:
    steps = np.full(values.shape, UNDEFINED, dtype=np.uint16)
    defined = ~np.isnan(values)
    steps[defined] = np.rint(values[defined] * STEPS_A_PERCENT)
    return steps


def _from_steps(steps: np.ndarray) -> np.ndarray:
    return np.where(steps == UNDEFINED, np.nan, steps / STEPS_A_PERCENT)
