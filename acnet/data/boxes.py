"""Making the boxes of an annotation fit for training: inside the picture, each with an area."""

import numpy as np

from acnet.data.records import Note

CLIPPED = "box clipped to the photo"
DEGENERATE = "box dropped: no area"
OUTSIDE = "box dropped: outside the photo"


def clean_boxes(
    boxes_xyxy: np.ndarray, image_hw: tuple[int, int], file_name: str
) -> tuple[np.ndarray, np.ndarray, list[Note]]:
    """Clips boxes to their picture and drops those that are left without an area.

    Args:
        boxes_xyxy: (N, 4) float64 as annotated; NaN and infinity may occur.
        image_hw: the picture's height and width in pixels.
        file_name: the picture, for the notes.

    Returns:
        (K, 4) boxes, the (K,) indices of their originals, rising, and a note per changed or
        dropped box.
    """
    height, width = image_hw
    limits = np.array([width, height, width, height], dtype=np.float64)
    kept, clipped_boxes, notes = [], [], []
    for index, box in enumerate(boxes_xyxy):
        clipped = np.clip(box, 0.0, limits)
        if not np.isfinite(box).all() or not (box[2:] > box[:2]).all():
            kind = DEGENERATE
        elif not (clipped[2:] > clipped[:2]).all():
            kind = OUTSIDE
        else:
            kind = None if np.array_equal(clipped, box) else CLIPPED
            kept.append(index)
            clipped_boxes.append(clipped)
        if kind is not None:
            notes.append(Note(kind, file_name, f"xyxy {box.tolist()} in {width}x{height}"))
    return np.array(clipped_boxes).reshape(-1, 4), np.array(kept, dtype=np.int64), notes
