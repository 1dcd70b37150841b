"""Records as COCO JSON, which detectron2 and pycocotools read.

Ids count from 1 within a file: pycocotools takes an annotation id of 0 for "no match".
"""

import hashlib
import itertools
import operator
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from acnet.data.readers.safe_files import read_json, relative_name
from acnet.data.records import ImageRecord, TileRecord, pick_flags
from acnet.errors import UnreadableFileError
from acnet.files import write_json

NO_PHOTO_IDS: Mapping[str, int] = MappingProxyType({})


def coco_dict(
    records: Sequence[ImageRecord],
    class_names: Sequence[str],
    *,
    photo_ids: Mapping[str, int] = NO_PHOTO_IDS,
) -> dict[str, Any]:
    """Make the content of a COCO file.

    Args:
        records: pictures; ids follow the order of their file names, then that of their boxes.
        class_names: in order of the records' class indices; category ids are one more.
        photo_ids: for tiles, the ids of their photos by file name.

    Returns:
        A dictionary for JSON. A tile's picture also has `photo_file_name`, `photo_id` and
        `offset_xy`, the photo pixel of its left top corner.

    Raises:
        ValueError: two pictures have the same name.
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
        "info": {"description": "written by acnet.data"},
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
) -> dict[str, int]:
    """Write a COCO file atomically.

    Args:
        path: the file.
        records: see `coco_dict`.
        class_names: see `coco_dict`.
        photo_ids: see `coco_dict`.

    Returns:
        The pictures' ids by file name.
    """
    write_json(path, coco_dict(records, class_names, photo_ids=photo_ids))
    return image_ids(records)


def image_ids(records: Iterable[ImageRecord]) -> dict[str, int]:
    """Return the ids that pictures get in a COCO file, by file name."""
    return {name: id_ for id_, name in enumerate(sorted(r.file_name for r in records), start=1)}


def _annotations(record: ImageRecord) -> Iterator[dict[str, Any]]:
    crowd = record.crowd if len(record.crowd) else itertools.repeat(False)
    difficult = record.difficult if len(record.difficult) else itertools.repeat(False)
    boxes = record.boxes_xyxy.tolist()
    # The flags may be endless, so they come last: zip stops at the boxes.
    for (x0, y0, x1, y1), index, in_crowd, is_difficult in zip(
        boxes, record.classes.tolist(), crowd, difficult, strict=False
    ):
        fields = {
            "category_id": index + 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": int(in_crowd),
        }
        yield {**fields, "difficult": 1} if is_difficult else fields


def _image_fields(
    record: ImageRecord, photo_ids: Mapping[str, int]
) -> dict[str, str | int | list[int]]:
    fields = {"file_name": record.file_name, "width": record.width, "height": record.height}
    if isinstance(record, TileRecord):
        fields["photo_file_name"] = record.photo_file_name
        fields["photo_id"] = photo_ids[record.photo_file_name]
        fields["offset_xy"] = list(record.offset_xy)
    return fields


@dataclass(frozen=True)
class PhotoSplit:
    """One split of whole photos.

    Args:
        records: in the file's order.
        class_names: in the order of the records' class indices.
        photo_ids: ids by file name.
        sha256: of the COCO file.
    """

    records: list[ImageRecord]
    class_names: tuple[str, ...]
    photo_ids: dict[str, int]
    sha256: str


def read_photo_split(path: Path) -> PhotoSplit:
    """Read a COCO file that the import wrote.

    Returns:
        Its photos; boxes end at their photo's edge at the latest.

    Raises:
        UnreadableFileError: it is no such file, or names a file outside its folder.
        FileNotFoundError: there is no such file.
    """
    content = read_json(path)
    try:
        classes = {entry["id"]: i for i, entry in enumerate(content["categories"])}
        annotations = defaultdict(list)
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
