"""Making the boxes of an annotation fit for training: inside the picture, each with an area."""

import numpy as np

from acnet.data.records import Note

CLIPPED = "box clipped to the photo"
DEGENERATE = "box dropped: no area"
OUTSIDE = "box dropped: outside the photo"

# Shares of a photo's side are written with six digits, so edges miss by some thousandths of a
# pixel; what is thinner or farther out than this by a hundredth was meant so.
ROUNDING_PX = 0.01
SHOWN_BOXES = 20  # of one kind and photo; the rest is counted in one note


def clean_boxes(
    boxes_xyxy: np.ndarray, image_hw: tuple[int, int], file_name: str
) -> tuple[np.ndarray, np.ndarray, list[Note]]:
    """Clips boxes to their picture and drops those that are left without an area.

    Args:
        boxes_xyxy: (N, 4) float64 as annotated; NaN and infinity may occur.
        image_hw: the picture's height and width in pixels.
        file_name: the picture, for the notes.

    Returns:
        (K, 4) boxes, the (K,) indices of their originals, rising, and notes on the changed and
        dropped boxes: one each for the first of a kind, and one for the others together.
    """
    height, width = image_hw
    clipped = np.clip(boxes_xyxy, 0.0, [width, height, width, height])
    has_area = np.isfinite(boxes_xyxy).all(axis=1) & _is_extended(boxes_xyxy)
    inside = has_area & _is_extended(clipped)
    with np.errstate(invalid="ignore"):  # infinity minus itself, of boxes that are dropped anyway
        changed = inside & (np.abs(clipped - boxes_xyxy) > ROUNDING_PX).any(axis=1)
    places = {DEGENERATE: ~has_area, OUTSIDE: has_area & ~inside, CLIPPED: changed}
    found: list[tuple[int, Note]] = []
    for kind, is_kind in places.items():
        indices = np.flatnonzero(is_kind)
        for index in indices[:SHOWN_BOXES].tolist():
            detail = f"xyxy {boxes_xyxy[index].tolist()} in {width}x{height}"
            found.append((index, Note(kind, file_name, detail)))
        others = len(indices) - SHOWN_BOXES
        if others > 0:
            rest = Note(kind, file_name, f"{others} more boxes in {width}x{height}", others)
            found.append((len(boxes_xyxy), rest))
    found.sort(key=_index)
    return clipped[inside], np.flatnonzero(inside), [note for _, note in found]


def _is_extended(boxes_xyxy: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        return (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2] > ROUNDING_PX).all(axis=1)


def _index(found: tuple[int, Note]) -> int:
    return found[0]
