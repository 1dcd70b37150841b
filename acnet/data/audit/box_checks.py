"""Faults of a single photo's boxes.

Shape shorthand: N boxes of the photo.
"""

from collections.abc import Iterator

import numpy as np

from acnet.data.audit.findings import Finding
from acnet.data.boxes import ROUNDING_PX
from acnet.data.records import Annotated

# A box drawn twice by hand differs by a pixel or two; two lesions that touch share far less.
NEAR_IOU = 0.95
MAX_COMPARED = 10_000  # boxes of one photo: near duplicates among more would take minutes


def check_boxes(photo: Annotated) -> list[Finding]:
    """Looks at every box of a photo; each kind of fault is one finding with its number.

    Args:
        photo: as annotated.

    Returns:
        The findings; a box that is no box is reported once, by its first fault.
    """
    boxes = photo.boxes_xyxy
    faults = faulty_boxes(boxes, photo.image_hw)
    findings = [
        Finding(kind, photo.file_name, _example(boxes, np.flatnonzero(faulty)), int(faulty.sum()))
        for kind, faulty in faults.items()
        if faulty.any()
    ]
    unusable = np.any([faults[kind] for kind in UNUSABLE], axis=0)
    return findings + list(_check_copies(photo, np.flatnonzero(~unusable)))


UNUSABLE = ("box not a number", "box inverted", "box without area", "box outside")


def faulty_boxes(boxes_xyxy: np.ndarray, image_hw: tuple[int, int]) -> dict[str, np.ndarray]:
    """Sorts the boxes by what is wrong with them.

    Args:
        boxes_xyxy: (N, 4), may hold NaN.
        image_hw: the picture's height and width in pixels.

    Returns:
        (N,) bool by kind of finding; no box is in two of them.
    """
    finite = np.isfinite(boxes_xyxy).all(axis=1)
    boxes = np.where(finite[:, None], boxes_xyxy, 0.0)
    height, width = image_hw
    limits = np.array([width, height, width, height], dtype=np.float64)
    with np.errstate(over="ignore"):  # corners of 1e308 lie far outside, and are found to
        sides = boxes[:, 2:] - boxes[:, :2]
    inverted = finite & (sides < 0).any(axis=1)
    empty = finite & ~inverted & (sides <= ROUNDING_PX).any(axis=1)
    proper = finite & ~inverted & ~empty
    clipped = np.clip(boxes, 0.0, limits)
    outside = proper & (clipped[:, 2:] - clipped[:, :2] <= ROUNDING_PX).any(axis=1)
    leaving = (np.abs(boxes - clipped) > ROUNDING_PX).any(axis=1)
    return {
        "box not a number": ~finite,
        "box inverted": inverted,
        "box without area": empty,
        "box outside": outside,
        "box partly outside": proper & ~outside & leaving,
    }


def exact_copies(photo: Annotated) -> np.ndarray:
    """Marks each box that an earlier one of the same name equals in every number.

    Args:
        photo: as annotated.

    Returns:
        (N,) bool; boxes with NaN equal nothing.
    """
    seen, copies = set(), np.zeros(len(photo.boxes_xyxy), dtype=bool)
    for index, (name, box) in enumerate(zip(photo.names, photo.boxes_xyxy.tolist(), strict=True)):
        key = (name, *box)
        copies[index] = key in seen and np.isfinite(box).all()
        seen.add(key)
    return copies


def near_copies(boxes_xyxy: np.ndarray, min_iou: float) -> np.ndarray:
    """Finds all pairs of boxes that nearly coincide.

    Args:
        boxes_xyxy: (N, 4), each with an area.
        min_iou: above 0.5, at most 1.

    Returns:
        (P, 2) int64 indices, the smaller first, sorted.
    """
    order = np.argsort(boxes_xyxy[:, 0], kind="stable")
    boxes = boxes_xyxy[order]
    widths, areas = boxes[:, 2] - boxes[:, 0], (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    # IoU >= t means that the left edges lie at most (1 - t) / t widths apart. So in the order of
    # the left edges only few neighbours matter, and the loop is over their distance in it.
    reach = boxes[:, 0] + widths * (1.0 - min_iou) / min_iou
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for step in range(1, len(boxes)):
        first = np.flatnonzero(boxes[step:, 0] <= reach[:-step])
        if not len(first):
            break
        a, b = boxes[first], boxes[first + step]
        wh = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
        shared = np.clip(wh, 0.0, None).prod(axis=1)
        near = first[shared >= min_iou * (areas[first] + areas[first + step] - shared)]
        pairs.append(np.stack([order[near], order[near + step]], axis=1))
    found = np.sort(np.concatenate(pairs), axis=1)
    return found[np.lexsort((found[:, 1], found[:, 0]))]


def _check_copies(photo: Annotated, usable: np.ndarray) -> Iterator[Finding]:
    copies = exact_copies(photo)
    if copies.any():
        example = _example(photo.boxes_xyxy, np.flatnonzero(copies))
        yield Finding("box duplicated", photo.file_name, example, int(copies.sum()))
    if len(usable) > MAX_COMPARED:
        yield Finding("very many boxes", photo.file_name, f"{len(usable)} boxes", len(usable))
        return
    single = usable[~copies[usable]]
    height, width = photo.image_hw
    inside = np.clip(photo.boxes_xyxy[single], 0.0, [width, height, width, height])
    pairs = single[near_copies(inside, NEAR_IOU)]
    same_name = np.array([photo.names[i] == photo.names[j] for i, j in pairs], dtype=bool)
    for kind, chosen in (
        ("box nearly duplicated", pairs[same_name]),
        ("box with two names", pairs[~same_name]),
    ):
        if len(chosen):
            i, j = chosen[0]
            detail = f"{_described(photo, i)} and {_described(photo, j)}"
            yield Finding(kind, photo.file_name, detail, len(chosen))


def _described(photo: Annotated, index: int) -> str:
    return f"{photo.names[index]} {_numbers(photo.boxes_xyxy[index])}"


def _example(boxes_xyxy: np.ndarray, indices: np.ndarray) -> str:
    return f"box {indices[0] + 1}: {_numbers(boxes_xyxy[indices[0]])}"


def _numbers(box_xyxy: np.ndarray) -> str:
    return "xyxy " + " ".join(f"{value:.6g}" for value in box_xyxy)
