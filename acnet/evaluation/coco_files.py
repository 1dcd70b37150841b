"""Ground truth from COCO files, and what is wrong with one, in words for the one who wrote it."""

import json
import logging
import os
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from reprlib import Repr
from typing import Any

import numpy as np

from acnet.errors import UserError
from acnet.evaluation.box_forms import box_of
from acnet.evaluation.columns import GroundTruth

logger = logging.getLogger(__name__)

LARGEST_NUMBER = 1e9  # no NaN, no infinity and no integer beyond float64 is below it
LARGEST_ID = 2**63 - 1
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_repr = Repr()


def read_ground_truth(path: str | os.PathLike) -> GroundTruth:
    """Read a COCO file of annotations; see `ground_truth_from_coco`.

    Raises:
        UserError: It cannot be read, or has one of the faults named there.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(
            f"Ground truth is a COCO file. Received {path}: {error.strerror}. Check the name."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"Ground truth is a COCO file, JSON in UTF-8. Received {path}: {error}. "
            "Write the file anew; one that was cut off looks like this as well."
        ) from error
    return ground_truth_from_coco(content, source=str(path))


def ground_truth_from_coco(
    content: Mapping[str, Any], *, source: str = "ground truth"
) -> GroundTruth:
    """Turn the content of a COCO file of annotations into columns.

    Images and categories may have any whole numbers as ids, from 0 or not; those of annotations are
    not read, since nothing refers to them. Categories of one name are one class. Photos come by
    rising id, boxes by photo and then as in the file. A turned box is its hull, and the outline
    stands in for a `bbox` without area. A missing `area`, or one of 0, is width times
    height, a missing `iscrowd` or `difficult` is 0. Errors call the content `source`.

    Raises:
        UserError: A section is missing; there is no image or category; an id of one is no whole
            number, is repeated or refers to nothing; or a box is not four finite numbers with sizes
            of at least 0.

    Example:
        >>> content = {
        ...     "images": [{"id": 0, "file_name": "a.jpg", "width": 640, "height": 480}],
        ...     "categories": [{"id": 0, "name": "acne"}],
        ...     "annotations": [{"image_id": 0, "category_id": 0, "bbox": [1, 2, 30, 40]}],
        ... }
        >>> ground_truth_from_coco(content).counts()
        array([1])
    """
    images = _by_id(_checked_section(content, "images", source))
    categories = _by_id(_checked_section(content, "categories", source))
    annotations = _checked_section(content, "annotations", source)
    class_of, used = _classes_by_id(categories, annotations)
    photo_of = {image_id: index for index, image_id in enumerate(images)}
    columns = _columns(annotations, photo_of, class_of, source)
    order = np.argsort(columns["photo"], kind="stable")
    boxes = columns["boxes_xywh"]
    areas = [row.get("area") or w * h for row, (_, _, w, h) in zip(annotations, boxes, strict=True)]
    sizes_hw = [(image["height"], image["width"]) for image in images.values()]
    return GroundTruth(
        image_ids=np.array(list(images), dtype=np.int64),
        file_names=tuple(image["file_name"] for image in images.values()),
        image_hw=np.array(sizes_hw, dtype=np.int64),
        category_ids=np.array(used, dtype=np.int64),
        class_names=tuple(categories[category_id]["name"] for category_id in used),
        photo=columns["photo"][order],
        classes=columns["classes"][order],
        boxes_xywh=boxes[order],
        areas=np.array(areas, dtype=np.float64)[order],
        crowd=np.array([row.get("iscrowd", 0) for row in annotations], dtype=bool)[order],
        difficult=np.array([row.get("difficult", 0) for row in annotations], dtype=bool)[order],
        other_ids={key: used[index] for key, index in class_of.items() if key != used[index]},
    )


def _classes_by_id(
    categories: Mapping[int, Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]]
) -> tuple[dict[int, int], list[int]]:
    """Return the class of each category, and the ids that stand for the classes.

    Of several categories of a name, as Roboflow writes them, the one that is used most does.
    """
    uses = Counter(whole_number(row.get("category_id")) for row in annotations)
    by_name: dict[str, list[int]] = {}
    for category_id, category in categories.items():
        by_name.setdefault(category["name"], []).append(category_id)
    for name, ids in by_name.items():
        if len(ids) > 1:
            logger.info("The categories %s are all called %r and taken for one", ids, name)
    used = sorted(max(ids, key=lambda i: (uses[i], -i)) for ids in by_name.values())
    place = {categories[category_id]["name"]: index for index, category_id in enumerate(used)}
    return {key: place[category["name"]] for key, category in categories.items()}, used


def _columns(
    rows: Sequence[Any], photo_of: Mapping[int, int], class_of: Mapping[int, int], source: str
) -> dict[str, np.ndarray]:
    photo, classes, boxes = array("i"), array("i"), array("d")
    for place, row in enumerate(rows):
        photo_index = index_of(row.get("image_id"), photo_of)
        class_index = index_of(row.get("category_id"), class_of)
        box = _true_box(row)
        fault = box_fault(box)
        if class_index is None:
            fault = unknown_id("category_id", row)
        if photo_index is None:
            fault = unknown_id("image_id", row)
        if fault is not None:
            raise row_error(f"{source}, annotations", place, fault)
        photo.append(photo_index)
        classes.append(class_index)
        boxes.extend(box)
    if 0 < max(boxes, default=0) <= 1 and len(boxes) > 4:
        raise UserError(
            "Boxes of a COCO file are in pixels. Received "
            f"{source}, all of whose boxes lie within [0, 1], as shares of width and height do; "
            "export them in pixels."
        )
    return {
        "photo": np.frombuffer(photo, dtype=np.int32),
        "classes": np.frombuffer(classes, dtype=np.int32),
        "boxes_xywh": np.frombuffer(boxes).reshape(-1, 4),
    }


def _true_box(row: Mapping[str, Any]) -> Any:
    """Return the box of an annotation, in whichever form it is; `bbox` where there is no other."""
    bbox = row.get("bbox")
    if isinstance(bbox, list | tuple) and len(bbox) == 4:
        if box_fault(bbox) is not None:
            return bbox
        corners = (bbox[0], bbox[1], bbox[0] + bbox[2], bbox[1] + bbox[3])
    else:
        corners = None
    hull = box_of(row)
    box = (*hull[:2], hull[2] - hull[0], hull[3] - hull[1])
    return bbox if hull == corners or box_fault(box) is not None else box


class ClassNames:
    """Finds classes by name, in any case and amid spaces, where only one can be meant."""

    def __init__(self, names: Sequence[str]):
        self._exact = {name: index for index, name in enumerate(names)}
        self._folded: dict[str, int | None] = {}
        for name, index in self._exact.items():
            key = _folded(name)
            self._folded[key] = None if key in self._folded else index

    def find(self, name: str) -> int | None:
        """Return the place of a class, None where none or several fit."""
        index = self._exact.get(name)
        return self._folded.get(_folded(name)) if index is None else index


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", " ".join(name.split()).casefold())


def whole_number(value: Any) -> int | None:
    """Return an id as a whole number, whether written as 7, 7.0 or "7"; None for anything else."""
    if type(value) is str and _WHOLE.fullmatch(value):
        value = int(value)
    is_whole = type(value) is int or (type(value) is float and value.is_integer())
    return int(value) if is_whole and -LARGEST_ID <= value <= LARGEST_ID else None


def index_of(value: Any, known: Mapping[int, int]) -> int | None:
    """Return what an id refers to, None for nothing."""
    return known.get(value) if type(value) is int else known.get(whole_number(value))


def box_fault(box: Any) -> str | None:
    """Find what is wrong with a box in COCO's form, None for nothing."""
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(is_number, box)):
        return f"bbox must be four finite numbers, not {short(box)}"
    if box[2] < 0 or box[3] < 0:
        return f"width and height must not be negative, as in {short(box)}"
    return None


def unknown_id(key: str, row: Mapping[str, Any]) -> str:
    """Say that a row refers to nothing."""
    return f"{key} must be one of the ground truth's ids, not {short(row.get(key))}"


def row_error(source: str, place: int, fault: str) -> UserError:
    """Return the error of a row with a fault."""
    return UserError(
        "A row names its image and category and has a box of four numbers: left, top, width, "
        f"height, in pixels. Received {source}, row {place} from 0: {fault}. Correct the row; "
        "leave it out only if it marks nothing."
    )


def is_number(value: Any) -> bool:
    """Tell whether a value is a number that is neither NaN nor absurdly large."""
    return type(value) in (int, float) and -LARGEST_NUMBER <= value <= LARGEST_NUMBER


def short(value: Any) -> str:
    """Write a value for an error, however long it is."""
    try:
        return _repr.repr(value)
    except ValueError:
        return "a number of thousands of digits"


def _checked_section(content: Any, name: str, source: str) -> list[dict[str, Any]]:
    """Return a section's members, sound but for what they refer to, in the order of the file."""
    section = content.get(name) if isinstance(content, dict) else None
    if not isinstance(section, list) or (not section and name != "annotations"):
        raise UserError(
            "Ground truth is a COCO file: an object with images, categories and annotations, of "
            f"which only the annotations may be an empty list. Received {source}, with no {name}. "
            "Give the file of annotations, not that of predictions."
        )
    for place, member in enumerate(section):
        fault = _member_fault(member, name)
        if fault is not None:
            raise UserError(
                "Images, categories and annotations of a COCO file must be complete. Received "
                f"{source}, {name}, member {place} from 0: {fault}. Correct it, or leave it out."
            )
    if name != "annotations":
        for value, number in Counter(whole_number(member["id"]) for member in section).items():
            if number > 1:
                raise UserError(
                    f"The {name} must differ in their id, by which they are known. Received "
                    f"{source} with the id {value} {number} times. Change all but one."
                )
    return section


def _member_fault(member: Any, name: str) -> str | None:
    if not isinstance(member, dict):
        return f"it must be an object, not {short(member)}"
    if name == "annotations":
        for key in ("iscrowd", "difficult"):
            if member.get(key, 0) not in (0, 1):
                return f"{key} must be 0 or 1, not {short(member[key])}"
        area = member.get("area", 0)
        if not is_number(area) or area < 0:
            return f"area must be a finite number of at least 0, not {short(area)}"
        return None
    if whole_number(member.get("id")) is None:
        return f"id must be a whole number of at most 18 digits, not {short(member.get('id'))}"
    key = "file_name" if name == "images" else "name"
    if not isinstance(member.get(key), str):
        return f"{key} must be text, not {short(member.get(key))}"
    if name == "images":
        for key in ("width", "height"):
            if not is_number(member.get(key)) or member[key] < 1 or member[key] % 1:
                return f"{key} must be a positive integer, not {short(member.get(key))}"
    return None


def _by_id(section: Sequence[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    members = {whole_number(member["id"]): member for member in section}
    return dict(sorted(members.items()))
