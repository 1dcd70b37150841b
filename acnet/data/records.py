"""What every reader makes and every writer takes: a picture with its boxes, and notes on it."""

import collections
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np


def _no_flags() -> np.ndarray:
    return np.zeros(0, dtype=bool)


def pick_flags(flags: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return the flags of some objects, empty where none of them is set."""
    picked = flags[indices] if len(flags) else flags
    return picked if picked.any() else _no_flags()


@dataclass(frozen=True)
class Note:
    """Something that was left out or changed.

    Args:
        kind: the same words for all of one sort; they are counted by it.
        file_name: where.
        detail: what exactly.
        count: how many times; one note may stand for a million boxes.
    """

    kind: str
    file_name: str
    detail: str = ""
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """A picture as somebody annotated it: nothing is cleaned and nothing left out.

    Readers make these; the import cleans them into an `ImageRecord`, the audit reports what is
    wrong with them.

    Args:
        file_name: below the folder of the pictures, with forward slashes.
        image_hw: height and width in pixels as decoded, with the EXIF orientation applied.
        names: class of each object, as it is written.
        boxes_xyxy: (N, 4) float64 in pixels from the picture's left and top edge, as written: may
            be NaN, inverted or outside.
        annotation_ids: N, where the format has them; else none.
        declared_hw: the size that the annotation states, or None.
        grade: the severity that a list states, or None.
        count: the number of lesions that a list states, or None.
        crowd: (N,) bool, COCO's `iscrowd`; empty where the format has none.
        difficult: (N,) bool, VOC's flag; empty where the format has none.
        notes: on what the reader could not take at all.
        lost: how many objects those are.
    """

    file_name: str
    image_hw: tuple[int, int]
    names: tuple[str, ...]
    boxes_xyxy: np.ndarray
    annotation_ids: tuple[int, ...] = ()
    declared_hw: tuple[int, int] | None = None
    grade: int | None = None
    count: int | None = None
    crowd: np.ndarray = field(default_factory=_no_flags)
    difficult: np.ndarray = field(default_factory=_no_flags)
    notes: tuple[Note, ...] = ()
    lost: int = 0


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """A picture and its boxes.

    Args:
        file_name: below the folder of the pictures, with forward slashes.
        width: pixels, of the picture as decoded with its EXIF orientation.
        height: pixels, likewise.
        boxes_xyxy: (N, 4) float64 in pixels from the picture's left and top edge, inside it, each
            with an area.
        classes: (N,) int64 indices into the names of the classes.
        crowd: (N,) bool, boxes around many objects; empty where none is.
        difficult: (N,) bool, objects that need not be found; empty where none is.
    """

    file_name: str
    width: int
    height: int
    boxes_xyxy: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray = field(default_factory=_no_flags)
    difficult: np.ndarray = field(default_factory=_no_flags)


@dataclass(frozen=True, kw_only=True)
class TileRecord(ImageRecord):
    """A tile, which knows where it comes from.

    Args:
        photo_file_name: the `file_name` of the photo that it was cut from.
        offset_xy: the photo pixel of the tile's left top corner.
    """

    photo_file_name: str
    offset_xy: tuple[int, int]


@dataclass
class Notes:
    """All that was left out or changed, in the order of the files.

    Args:
        items: the notes so far.
    """

    items: list[Note] = field(default_factory=list)

    def extend(self, notes: Iterable[Note]) -> None:
        """Add notes at the end."""
        self.items.extend(notes)

    def counts(self) -> dict[str, int]:
        """Return how many times each kind occurred, sorted by kind."""
        counts: collections.Counter[str] = collections.Counter()
        for note in self.items:
            counts[note.kind] += note.count
        return dict(sorted(counts.items()))

    def text(self) -> str:
        """Return one line per note: kind, file and detail, separated by tabs."""
        return "".join(f"{_one_line(note)}\n" for note in self.items)


def _one_line(note: Note) -> str:
    """Name of files may hold tabs, line ends and halves of characters."""
    times = f" ({note.count} times)" if note.count > 1 else ""
    fields = (note.kind, note.file_name, note.detail + times)
    fields = (" ".join(field.splitlines()) for field in fields)
    line = "\t".join(field.replace("\t", " ") for field in fields)
    return line.encode("utf-8", "backslashreplace").decode()
