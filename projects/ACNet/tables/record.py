"""What one training gave: a JSON file of numbers, and beside it the bootstrap's replicates.

Both are small enough for a repository, so that a table can be continued on another machine. The
replicates of two records of the same set are of the same drawn photos, hence paired.

Shape shorthand: R replicates, M numbers (`RESAMPLED`).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acnet.errors import UserError
from acnet.files import atomic_write, write_json
from projects.ACNet.tables.settings import without_modules

SCHEMA_VERSION = 1
UNDEFINED = np.iinfo(np.uint16).max
STEPS_A_PERCENT = 100  # replicates are kept to 0.01 %
# Differ between two runs of the same command, and say nothing of the model.
TIME_KEYS = ("times", "machine", "versions", "source")

MAX_DETECTIONS = 1000  # of a photo and class
REPLICATES = 1000
BOOTSTRAP_SEED = 0
# Numbers with an interval; the first is the headline, which is probably what the paper calls mAP.
RESAMPLED = {
    "AP50-VOC07": "AP50, VOC 2007",
    f"AP50@{MAX_DETECTIONS}": "AP50",
    f"AP@{MAX_DETECTIONS}": "AP",
    "sensitivity@1": "sens. at 1 FP",
    "FROC": "FROC",
}
HEADLINE = next(iter(RESAMPLED))


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
        """Seed of the training."""
        return self.content["seed"]

    @property
    def form(self) -> str:
        """Form of the row: "paper" or "tuned"."""
        return self.content["form"]

    @property
    def settings(self) -> Mapping[str, Any]:
        """What all rows of a table share."""
        return self.content["settings"]

    @property
    def digests(self) -> dict[str, str]:
        """Digest of each test set, by name."""
        return {name: test["data"] for name, test in self.content["tests"].items()}

    def value(self, test: str, key: str) -> float | None:
        """Return a number on all photos of a set; None where it is undefined."""
        return self.content["tests"][test]["numbers"].get(key)


def record_path(results: Path, config: str, seed: int) -> Path:
    """Return where the record of a row and a seed is kept, below the folder of all records."""
    return results / config / f"seed_{seed}.json"


def write_record(
    path: Path, content: Mapping[str, Any], replicates: Mapping[str, np.ndarray]
) -> None:
    """Write a record; the JSON file comes last, so that a record that can be read is whole."""
    steps = {name: _to_steps(values) for name, values in replicates.items()}
    with atomic_write(path.with_suffix(".npz")) as temporary:
        np.savez_compressed(temporary, **steps)
    write_json(path, {"schema_version": SCHEMA_VERSION, **content}, indent=1)


def read_record(path: Path) -> Record:
    """Read a record from its JSON file and the .npz beside it.

    Raises:
        UserError: it is broken, or of another version of this format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {content['schema_version']}")
        # Older records call the paper's form "letter", and name classes with their modules.
        content["form"] = content["form"].replace("letter", "paper")
        content |= {key: without_modules(content[key]) for key in ("settings", "model")}
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
    """Read all records below a folder, in sorted order; a folder that is not there has none."""
    for path in sorted(results.rglob("seed_*.json")):
        yield read_record(path)


def _to_steps(values: np.ndarray) -> np.ndarray:
    steps = np.full(values.shape, UNDEFINED, dtype=np.uint16)
    defined = ~np.isnan(values)
    steps[defined] = np.rint(values[defined] * STEPS_A_PERCENT)
    return steps


def _from_steps(steps: np.ndarray) -> np.ndarray:
    return np.where(steps == UNDEFINED, np.nan, steps / STEPS_A_PERCENT)
