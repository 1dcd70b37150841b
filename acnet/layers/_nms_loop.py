"""The loop of `nms`, compiled for the CPU.

Imported at the first call only: importing the compiler takes half a second.

Shape shorthand:
    N: number of boxes
    K: number of picks so far
"""

import numpy as np

from ._compiler import compiled

__all__ = ["pick_greedily"]

_CHUNK = 64  # picks compared before looking whether one of them hit: a few vectors of any CPU
_ZERO = np.float32(0)


@compiled
def pick_greedily(
    boxes_xyxy: np.ndarray, order: np.ndarray, iou_threshold: float, max_keep: int
) -> np.ndarray:
    """Pick boxes in the given order that overlap no earlier pick.

    A box is compared with the picks, not with all other boxes: that ends at the first hit, and
    nothing is computed for boxes after the last pick that is wanted.

    Args:
        boxes_xyxy: (N, 4) float32, C-contiguous.
        order: (N,) int64, the indices of the boxes, best first.
        iou_threshold: float32; a box above it overlaps.
        max_keep: most picks wanted.

    Returns:
        (K,) int64, the picks.
    """
    limit = min(max_keep, len(order))
    keep = np.empty(limit, np.int64)
    kept = np.empty((5, limit), np.float32)  # x1, y1, x2, y2, area: each row one vector load
    picks = 0
    for index in order:
        if picks == limit:
            break
        x1, y1, x2, y2 = boxes_xyxy[index]
        area = (x2 - x1) * (y2 - y1)
        if not _overlaps_a_pick(x1, y1, x2, y2, area, kept, picks, iou_threshold):
            keep[picks] = index
            kept[:, picks] = x1, y1, x2, y2, area
            picks += 1
    return keep[:picks]


@compiled
def _overlaps_a_pick(x1, y1, x2, y2, area, kept, picks, iou_threshold):
    for start in range(0, picks, _CHUNK):
        hit = np.int32(0)
        for i in range(start, min(start + _CHUNK, picks)):  # no branch: vectorised
            # The comparisons of std::max and std::min, so that NaN does what it does there.
            left = kept[0, i] if x1 < kept[0, i] else x1
            top = kept[1, i] if y1 < kept[1, i] else y1
            right = kept[2, i] if kept[2, i] < x2 else x2
            bottom = kept[3, i] if kept[3, i] < y2 else y2
            width = right - left if right - left > _ZERO else _ZERO
            height = bottom - top if bottom - top > _ZERO else _ZERO
            intersection = width * height
            union = kept[4, i] + area - intersection
            hit |= np.int32(intersection / union > iou_threshold)
        if hit:
            return True
    return False
