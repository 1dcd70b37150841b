"""What is wrong with a row or a section of a COCO file, in words for the one who wrote it."""

from collections import Counter
from collections.abc import Mapping
from reprlib import repr as short
from typing import Any

from acnet.errors import UserError

LARGEST_NUMBER = 1e9  # no NaN, no infinity and no integer beyond float64 is below it


def row_fault(
    row: Any, photo_of: Mapping[int, int], class_of: Mapping[int, int], *, with_score: bool
) -> str | None:
    """Find what is wrong with an annotation or a result.

    Args:
        row: As read.
        photo_of: The images' ids are its keys.
        class_of: The categories' ids are its keys.
        with_score: Whether it has to have a score.

    Returns:
        The fault, or None.
    """
    if not isinstance(row, dict):
        return f"it must be an object, not {short(row)}"
    for key, known in (("image_id", photo_of), ("category_id", class_of)):
        value = row.get(key)
        if type(value) is not int or value not in known:
            return f"{key} must be one of the ground truth's ids, not {short(value)}"
    box = row.get("bbox")
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(_is_number, box)):
        return f"bbox must be four finite numbers, not {short(box)}"
    if box[2] < 0 or box[3] < 0:
        return f"width and height must not be negative, as in {short(box)}"
    if with_score and not _is_number(row.get("score")):
        return f"score must be a finite number, not {short(row.get('score'))}"
    return None


def checked_section(content: Any, name: str, source: str) -> list[dict[str, Any]]:
    """Return a section of ground truth whose members are sound and have ids of their own.

    What refers to other sections is left to `row_fault`.

    Args:
        content: Of the file.
        name: "images", "categories" or "annotations".
        source: What errors call the file.

    Returns:
        The section's members, in its order.

    Raises:
        UserError: It is missing, or empty and not `annotations`, or a member is not as it must be.
    """
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
    _check_unique(section, name, "id", source)
    if name == "categories":
        _check_unique(section, name, "name", source)
    return section


def _member_fault(member: Any, name: str) -> str | None:
    if not isinstance(member, dict):
        return f"it must be an object, not {short(member)}"
    value = member.get("id")
    if type(value) is not int or value < 1:
        # pycocotools takes an annotation's id of 0 for "no match", and lowers AP without a word.
        return f"id must be an integer from 1, since 0 stands for no match, not {short(value)}"
    if name == "annotations":
        return _annotation_fault(member)
    key = "file_name" if name == "images" else "name"
    if not isinstance(member.get(key), str):
        return f"{key} must be text, not {short(member.get(key))}"
    if name == "images":
        for key in ("width", "height"):
            if type(member.get(key)) is not int or not 0 < member[key] <= LARGEST_NUMBER:
                return f"{key} must be a positive integer, not {short(member.get(key))}"
    return None


def _annotation_fault(member: Mapping[str, Any]) -> str | None:
    for key in ("iscrowd", "difficult"):
        if member.get(key, 0) not in (0, 1):
            return f"{key} must be 0 or 1, not {short(member[key])}"
    area = member.get("area", 0)
    if not _is_number(area) or area < 0:
        return f"area must be a finite number of at least 0, not {short(area)}"
    return None


def _check_unique(section: list[dict[str, Any]], name: str, key: str, source: str) -> None:
    for value, number in Counter(member[key] for member in section).items():
        if number > 1:
            raise UserError(
                f"The {name} must differ in their {key}, by which they are known. Received "
                f"{source} with the {key} {value!r} {number} times. Change all but one."
            )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -LARGEST_NUMBER <= value <= LARGEST_NUMBER
