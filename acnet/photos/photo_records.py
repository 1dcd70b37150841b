"""What was found in each photo, kept in a file of its own: one to go on from after an interruption.

.parts/KEY.json         what was found in a photo, and which pictures show it
.parts/KEY.failed.json  why a photo cannot be read; tried again by the next run

Each file appears whole or not at all, a photo's after the pictures that it names. KEY is a hash of
everything that decides the result. A folder of results may come from a stranger, so what a record
says is checked, and one that is spoilt is made again.
"""

import contextlib
import dataclasses
import json
import math
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acnet.evaluation.count_model import NUM_TRAITS
from acnet.files import is_ours, write_json
from acnet.photos.draw import PICTURE_FOLDERS, PICTURE_MARK
from acnet.photos.results import FIRST_CATEGORY_ID

FORMAT = 3  # raise it when the meaning of a record changes
PARTS = ".parts"
PICTURE_KINDS = ("picture", "photo", "thumbnail", "attention", "schematic", "crops")
FOLDER_OF = dict(zip(PICTURE_KINDS, PICTURE_FOLDERS, strict=True))
MOST_BYTES = 64 << 20  # of a record; a thousand detections need a quarter of a megabyte
LARGEST_NUMBER = 1e7  # in a record: no pixel, class or second lies beyond it
MOST_REASON = 10_000  # characters


@dataclass(frozen=True, kw_only=True)
class Part:
    """One photo's result, as it is kept to go on from."""

    image_hw: tuple[int, int]  # its height and width in pixels, upright
    rows: list[dict]  # its detections as COCO results, without the photo's id
    seconds: float  # of reading and predicting
    photo_size_px: int  # long side at which it was seen
    drawn: str = ""  # hash of the options that its pictures were drawn with
    # Path of each picture in the output folder, by kind.
    files: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""  # what was wrong with its file, though it could be read
    traits: list[float] = field(default_factory=list)  # of `photo_traits`


class PartStore:
    """The photos' records in an output folder, by a model of so many classes."""

    def __init__(self, output: Path, *, classes: int = int(LARGEST_NUMBER)):
        self.output = output
        self.folder = output / PARTS
        self._classes = classes

    def read(self, key: str) -> Part | None:
        """Return a photo's part; None where there is none that can be used."""
        content = _record(self._path(key))
        try:
            if content is None or content.pop("format", None) != FORMAT:
                return None
            files = {kind: f"{FOLDER_OF[kind]}/{_name(n)}" for kind, n in content["files"].items()}
            part = Part(**{**content, "image_hw": tuple(content["image_hw"]), "files": files})
            _check_part(part, self._classes)
        # Whatever a stranger wrote: fields that are missing, of other types, too many or too large.
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            return None
        return part

    def write(self, key: str, part: Part) -> None:
        """Write a photo's part, once its pictures are there."""
        names = {kind: file.rpartition("/")[2] for kind, file in part.files.items()}
        content = {"format": FORMAT, **dataclasses.asdict(part), "files": names}
        write_json(self._path(key), content)

    def has(self, key: str, drawn: str) -> bool:
        """Tell whether a photo is finished, with its pictures drawn as wanted."""
        part = self.read(key)
        files = () if part is None else part.files.values()
        is_drawn = part is not None and part.drawn == drawn
        return is_drawn and all(_is_file(self.output / file) for file in files)

    def write_failure(self, key: str, reason: str) -> None:
        """Keep why a photo is left out."""
        write_json(self._failure(key), {"reason": reason[:MOST_REASON]})

    def read_failure(self, key: str) -> str | None:
        """Return why a photo is left out; None where it is not."""
        reason = (_record(self._failure(key)) or {}).get("reason")
        return reason if isinstance(reason, str) and 0 < len(reason) <= MOST_REASON else None

    def forget_failures(self) -> None:
        """Let photos that could not be read be tried again."""
        for path in self.folder.glob("*.failed.json"):
            _remove(path)

    def keep_only(self, keys: set[str]) -> None:
        """Remove the parts of other runs, and pictures that no part of these keys names."""
        names = (path.name for path in self.folder.glob("*.json"))
        stored = sorted(name[:-5] for name in names if not name.endswith(".failed.json"))
        needed = {file for key in keys if (part := self.read(key)) for file in part.files.values()}
        for key in stored:
            if key not in keys:
                part = self.read(key)
                self.remove_pictures(set(part.files.values()) - needed if part else ())
                _remove(self._path(key))

    def remove_pictures(self, files: Iterable[str]) -> None:
        """Remove pictures that acnet made, and nothing else that is called so."""
        for file in files:
            if is_ours(self.output / file, (PICTURE_MARK,)):
                _remove(self.output / file)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _failure(self, key: str) -> Path:
        return self.folder / f"{key}.failed.json"


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # a folder that is called so
        path.unlink(missing_ok=True)


def _is_file(path: Path) -> bool:
    """Tell whether a file lies there itself, and no link to one elsewhere."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _record(path: Path) -> dict[str, Any] | None:
    """Read a record; None where there is none, or nothing that one could be."""
    try:
        if not _is_file(path) or path.stat().st_size > MOST_BYTES:
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _check_part(part: Part, classes: int) -> None:
    """Raise what Python raises, or a ValueError, where a record holds what no run writes."""
    height, width = (_number(value, int) for value in part.image_hw)
    for row in part.rows:
        index = _number(row["category_id"], int) - FIRST_CATEGORY_ID
        numbers = [_number(value) for value in (*row["bbox"], row["score"])]
        if len(numbers) != 5 or row.keys() != {"category_id", "bbox", "score"}:
            raise ValueError("no detection")
        if not 0 <= index < classes or not 0 <= numbers[-1] <= 1:
            raise ValueError("no detection of this model")
    texts = (part.drawn, part.warning)
    if (
        len([_number(trait) for trait in part.traits]) != NUM_TRAITS
        or not isinstance(part.rows, list)
        or min(height, width, _number(part.photo_size_px, int)) < 1
        or _number(part.seconds) < 0
        or not all(isinstance(text, str) and len(text) <= MOST_REASON for text in texts)
    ):
        raise ValueError("no photo")


def _number(value: Any, kind: type = float) -> float:
    is_number = type(value) in {int, kind}
    if not is_number or not math.isfinite(value) or abs(value) > LARGEST_NUMBER:
        raise ValueError("no number")
    return value


def _name(value: Any) -> str:
    """Return a picture's name, which leads nowhere else."""
    if not isinstance(value, str) or value in ("", ".", "..") or set(value) & set("/\\\0"):
        raise ValueError("no name")
    return value
