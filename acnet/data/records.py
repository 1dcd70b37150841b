"""What every reader makes: a picture with its boxes, and notes on it; and records as COCO JSON.

Ids in a COCO file count from 1: pycocotools takes an annotation id of 0 for "no match".
"""

import collections
import hashlib
import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from acnet.data.readers.safe_files import read_json, relative_name
from acnet.errors import UnreadableFileError
from acnet.files import write_json


def _no_flags() -> np.ndarray:
    return np.zeros(0, dtype=bool)


def pick_flags(flags: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return the flags of some objects, empty where none of them is set."""
    picked = flags[indices] if len(flags) else flags
    return picked if picked.any() else _no_flags()


@dataclass(frozen=True)
class Note:
    """Something that was left out or changed, `count` times: one note may stand for many boxes.

    Notes are counted by their kind, the same words for all of one sort.
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
    """

    file_name: str  # below the folder of the pictures, with forward slashes
    # Height and width in pixels as decoded, with the EXIF orientation applied.
    image_hw: tuple[int, int]
    names: tuple[str, ...]  # class of each object, as it is written
    # (N, 4) float64 in pixels from the picture's left and top edge, as written: may be NaN,
    # inverted or outside.
    boxes_xyxy: np.ndarray
    annotation_ids: tuple[int, ...] = ()  # N, where the format has them; else none
    declared_hw: tuple[int, int] | None = None  # the size that the annotation states, or None
    grade: int | None = None  # the severity that a list states, or None
    count: int | None = None  # the number of lesions that a list states, or None
    # (N,) bool, COCO's `iscrowd`; empty where the format has none.
    crowd: np.ndarray = field(default_factory=_no_flags)
    # (N,) bool, VOC's flag; empty where the format has none.
    difficult: np.ndarray = field(default_factory=_no_flags)
    notes: tuple[Note, ...] = ()  # on what the reader could not take at all
    lost: int = 0  # how many objects those are


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """A picture and its boxes."""

    file_name: str  # below the folder of the pictures, with forward slashes
    width: int  # pixels, of the picture as decoded with its EXIF orientation; `height` likewise
    height: int
    boxes_xyxy: np.ndarray  # (N, 4) float64 in pixels, inside the picture, each with an area
    classes: np.ndarray  # (N,) int64 indices into the names of the classes
    # (N,) bool, boxes around many objects; empty where none is.
    crowd: np.ndarray = field(default_factory=_no_flags)
    # (N,) bool, objects that need not be found; empty where none is.
    difficult: np.ndarray = field(default_factory=_no_flags)


@dataclass(frozen=True, kw_only=True)
class TileRecord(ImageRecord):
    """A tile, which knows where it comes from."""

    photo_file_name: str  # the `file_name` of the photo that it was cut from
    offset_xy: tuple[int, int]  # the photo pixel of the tile's left top corner


@dataclass
class Notes:
    """All that was left out or changed, in the order of the files."""

    items: list[Note] = field(default_factory=list)

    def extend(self, notes: Iterable[Note]) -> None:
        """Add notes at the end."""
        self.items.extend(notes)

    def counts(self) -> dict[str, int]:
        """Return how many times each kind occurred, sorted by kind."""
        counts = collections.Counter()
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


DESCRIPTION = "written by acnet.data"
COCO_MARKS = (f'{{"info": {{"description": "{DESCRIPTION}"',)  # by which such files are known again
NO_PHOTO_IDS: Mapping[str, int] = MappingProxyType({})


def coco_dict(
    records: Sequence[ImageRecord],
    class_names: Sequence[str],
    *,
    photo_ids: Mapping[str, int] = NO_PHOTO_IDS,
) -> dict[str, Any]:
    """Make the content of a COCO file of pictures of different names.

    Ids follow the order of the names, then that of boxes; category ids are class indices plus one.
    A tile's picture also has `photo_file_name`, `photo_id`, which `photo_ids` says by file name,
    and `offset_xy`, the photo pixel of its left top corner.
    """
    ordered = sorted(records, key=operator.attrgetter("file_name"))
    for before, after in itertools.pairwise(ordered):
        if before.file_name == after.file_name:
            raise ValueError(f"File names must differ. Received {after.file_name} twice.")
    images, annotations = [], []
    for image_id, record in enumerate(ordered, start=1):
        images.append({"id": image_id, **_image_fields(record, photo_ids)})
        for fields in _annotations(record):
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **fields})
    categories = [{"id": i, "name": name} for i, name in enumerate(class_names, start=1)]
    return {
        "info": {"description": DESCRIPTION},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def write_coco(
    path: Path,
    records: Sequence[ImageRecord],
    class_names: Sequence[str],
    *,
    photo_ids: Mapping[str, int] = NO_PHOTO_IDS,
) -> None:
    """Write a COCO file atomically, as `coco_dict`."""
    write_json(path, coco_dict(records, class_names, photo_ids=photo_ids))


def _annotations(record: ImageRecord) -> Iterator[dict[str, Any]]:
    for i, (x0, y0, x1, y1) in enumerate(record.boxes_xyxy.tolist()):
        fields = {
            "category_id": int(record.classes[i]) + 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": int(record.crowd[i : i + 1].any()),  # an empty array has no flags
        }
        yield {**fields, "difficult": 1} if record.difficult[i : i + 1].any() else fields


def _image_fields(record: ImageRecord, photo_ids: Mapping[str, int]) -> dict[str, Any]:
    fields = {"file_name": record.file_name, "width": record.width, "height": record.height}
    if isinstance(record, TileRecord):
        fields["photo_file_name"] = record.photo_file_name
        fields["photo_id"] = photo_ids[record.photo_file_name]
        fields["offset_xy"] = list(record.offset_xy)
    return fields


@dataclass(frozen=True)
class PhotoSplit:
    """One split of whole photos, in the order of its file, whose hash is `sha256`."""

    records: list[ImageRecord]
    class_names: tuple[str, ...]
    photo_ids: dict[str, int]
    sha256: str


def read_photo_split(path: Path) -> PhotoSplit:
    """Read a COCO file that the import wrote; boxes end at their photo's edge at the latest."""
    content = read_json(path)
    try:
        classes = {entry["id"]: i for i, entry in enumerate(content["categories"])}
        annotations = collections.defaultdict(list)
        for annotation in content["annotations"]:
            annotations[annotation["image_id"]].append(annotation)
        records = [_record(image, annotations[image["id"]], classes) for image in content["images"]]
        return PhotoSplit(
            records=records,
            class_names=tuple(entry["name"] for entry in content["categories"]),
            photo_ids={image["file_name"]: image["id"] for image in content["images"]},
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableFileError(
            f"The photos of a prepared set are a COCO file that the import wrote. Received {path}: "
            f"{type(error).__name__} {error}. Import the data set again."
        ) from error


def _record(image: dict, annotations: list[dict], classes: dict[int, int]) -> ImageRecord:
    width, height = image["width"], image["height"]
    if relative_name(image["file_name"]) != image["file_name"]:
        raise ValueError(f"{image['file_name']!r} is no plain name")
    boxes = np.array([entry["bbox"] for entry in annotations], np.float64).reshape(-1, 4)
    # COCO's widths lose a last bit, so that a box may seem to leave its photo.
    ends = np.minimum(boxes[:, :2] + boxes[:, 2:], [width, height])
    return ImageRecord(
        file_name=image["file_name"],
        width=width,
        height=height,
        boxes_xyxy=np.concatenate([boxes[:, :2], ends], axis=1),
        classes=np.array([classes[entry["category_id"]] for entry in annotations], np.int64),
        crowd=_flags(annotations, "iscrowd"),
        difficult=_flags(annotations, "difficult"),
    )


def _flags(annotations: list[dict], key: str) -> np.ndarray:
    flags = np.array([entry.get(key, 0) for entry in annotations], dtype=bool)
    return pick_flags(flags, np.arange(len(flags)))
