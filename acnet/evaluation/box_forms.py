"""The forms in which an object's box is written: corners, polygons, masks of runs, turned boxes.

Whatever an entry holds, it gives four numbers, NaN where there is no box.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

NO_BOX = (math.nan,) * 4
MAX_MASK_SIDE = 1_000_000


def number(value: Any) -> float:
    """Return a number of JSON, NaN for anything that is none."""
    if isinstance(value, bool) or value is None:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def is_set(value: Any) -> bool:
    """Whether a flag is set, as 1, true, or either as text."""
    if isinstance(value, str) and value.strip().lower() == "true":
        return True
    return value is True or number(value) == 1


def box_of(entry: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Return the corners of a COCO object, from its mask or polygons where no `bbox` has an area.

    A turned box, as detectron2 (`bbox` of five numbers) and CVAT (`attributes.rotation`) write
    them, gives its hull. Anything may be missing or of another type; NaN where there is nothing.
    """
    corners = NO_BOX
    bbox = entry.get("bbox")
    if isinstance(bbox, (list, tuple)) and len(bbox) == 4:
        x, y, width, height = map(number, bbox)
        corners = (x, y, x + width, y + height)
        attributes = entry.get("attributes")
        angle = number(attributes.get("rotation")) if isinstance(attributes, dict) else math.nan
        if width > 0 and height > 0:
            if not math.isfinite(angle) or not angle:
                return corners
            centre = (x + width / 2, y + height / 2)
            return rotated_hull(*centre, width, height, math.radians(angle))
    elif isinstance(bbox, (list, tuple)) and len(bbox) == 5:
        cx, cy, width, height, angle = map(number, bbox)
        return rotated_hull(cx, cy, width, height, math.radians(angle))
    return _outline(entry.get("segmentation")) or corners


def _outline(mask: Any) -> tuple[float, float, float, float] | None:
    """The box around polygons or a run-length mask; None where there is none."""
    if isinstance(mask, dict):
        return _mask_box(mask)
    polygons = mask if isinstance(mask, list) else []
    if polygons and not isinstance(polygons[0], list):
        polygons = [polygons]
    xs = [number(x) for polygon in polygons if isinstance(polygon, list) for x in polygon[::2]]
    ys = [number(y) for polygon in polygons if isinstance(polygon, list) for y in polygon[1::2]]
    if not xs or not ys or not all(map(math.isfinite, xs + ys)):
        return None
    return (min(xs), min(ys), max(xs), max(ys))


def _mask_box(mask: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    """The box around COCO's run-length mask, which runs down the columns, first outside."""
    size, runs = mask.get("size"), mask.get("counts")
    height = number(size[0]) if isinstance(size, list) and len(size) == 2 else math.nan
    if isinstance(runs, str):
        runs = _unpacked(runs)
    if not isinstance(runs, list) or not 1 <= height <= MAX_MASK_SIDE:
        return None
    lengths = np.array([number(run) for run in runs], np.float64)
    if not (np.isfinite(lengths) & (lengths >= 0)).all() or lengths.sum() > MAX_MASK_SIDE**2:
        return None
    ends = np.cumsum(lengths)[1::2]
    starts = ends - lengths[1::2]
    starts, ends = starts[ends > starts], ends[ends > starts]
    if not len(starts):
        return None
    first_column, last_column = starts // height, (ends - 1) // height
    whole = last_column > first_column  # such a run touches the top or bottom of a column
    top = np.where(whole, 0, starts % height).min()
    bottom = np.where(whole, height - 1, (ends - 1) % height).max()
    return (float(first_column.min()), float(top), float(last_column.max()) + 1, float(bottom) + 1)


def _unpacked(text: str) -> list[int]:
    """Run from pycocotools' text: 5 bits a character, from the fourth run on as differences."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            if code & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
        elif shift > 60:
            return []
    return runs


def rotated_hull(
    cx: float, cy: float, width: float, height: float, angle: float
) -> tuple[float, float, float, float]:
    """Return the corners of the upright box around a box that is turned by `angle` radians."""
    if not math.isfinite(angle):
        return NO_BOX
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    half_x = (width * cos + height * sin) / 2
    half_y = (width * sin + height * cos) / 2
    return (cx - half_x, cy - half_y, cx + half_x, cy + half_y)
