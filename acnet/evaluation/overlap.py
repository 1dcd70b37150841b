"""Overlap of boxes in COCO's form, with the arithmetic of pycocotools to the last bit.

Half of the boxes of a data set are drawn on whole pixels, so that an IoU of exactly 0.5 is common:
another order of the same sums would decide such pairs differently.
"""

import numpy as np


def intersection_areas(boxes_xywh: np.ndarray, others_xywh: np.ndarray) -> np.ndarray:
    """Compute the common area of each pair of boxes.

    Args:
        boxes_xywh: (N, 4) left, top, width, height.
        others_xywh: (M, 4) likewise.

    Returns:
        (N, M) areas; 0 where the boxes do not overlap.
    """
    sides = []
    for start, size in ((0, 2), (1, 3)):
        ends = boxes_xywh[:, start] + boxes_xywh[:, size]
        other_ends = others_xywh[:, start] + others_xywh[:, size]
        side = np.minimum(ends[:, None], other_ends[None])
        side -= np.maximum(boxes_xywh[:, None, start], others_xywh[None, :, start])
        sides.append(np.maximum(side, 0, out=side))
    return np.multiply(*sides, out=sides[0])


def box_iou(
    intersections: np.ndarray,
    areas: np.ndarray,
    other_areas: np.ndarray,
    *,
    crowd: np.ndarray | None = None,
) -> np.ndarray:
    """Compute the intersection over union of each pair of boxes.

    Args:
        intersections: (N, M) common areas.
        areas: (N,) width times height.
        other_areas: (M,) likewise.
        crowd: (M,) bool: where the other is a crowd, the area of the first box alone stands for
            the union; None for no crowd.

    Returns:
        (N, M) in [0, 1]; 0 where the boxes do not overlap, boxes without area among them.
    """
    unions = areas[:, None] + other_areas[None]
    unions -= intersections
    if crowd is not None:
        unions[:, crowd] = areas[:, None]
    return np.divide(
        intersections, unions, out=np.zeros_like(intersections), where=intersections > 0
    )
