"""The photos of a prepared set: its COCO files read back into records."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acnet.data.readers.safe_files import read_json, relative_name
from acnet.data.records import ImageRecord, pick_flags
from acnet.errors import UnreadableFileError


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
    """Reads a COCO file that the import wrote.

    Args:
        path: such as `annotations/train.json`.

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
