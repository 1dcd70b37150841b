"""How well anchors fit the boxes of a data set.

A box that no anchor overlaps by half is hard to propose. Shape shorthand: N boxes, A anchors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

GOOD_IOU = 0.5
# Suggested sizes are tried in steps of a quarter octave, about what one anchor reaches.
SIZES_PER_OCTAVE = 4


@dataclass(frozen=True)
class AnchorSet:
    """Anchors as detectron2's `DefaultAnchorGenerator` places them. The default is the paper's.

    Args:
        sizes_px: square roots of the areas.
        ratios: heights over widths.
        stride_px: distance of the grid points that all of them are centred on.
    """

    sizes_px: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    stride_px: int = 8

    def sides_wh(self) -> np.ndarray:
        """Returns (A, 2) widths and heights in pixels."""
        sizes, ratios = np.meshgrid(self.sizes_px, np.sqrt(self.ratios), indexing="ij")
        return np.stack([(sizes / ratios).ravel(), (sizes * ratios).ravel()], axis=1)


def best_anchor_iou(
    boxes_xyxy: np.ndarray, image_hw: tuple[int, int], anchors: AnchorSet
) -> np.ndarray:
    """Finds each box's best overlap with any anchor at any place, exactly and without the places.

    The overlap of two intervals never grows as their centres part, so along either axis the grid
    point nearest to the box's centre is the best for every anchor, whatever happens along the other
    axis: only A anchors a box have to be tried.

    Args:
        boxes_xyxy: (N, 4) with areas, in a picture that is not resized.
        image_hw: its height and width in pixels; the grid begins at its left and top edge and ends
            before its right and bottom edge. Anchors may leave the picture, as in training.
        anchors: to try.

    Returns:
        (N,) IoU from 0 to 1.
    """
    stride = anchors.stride_px
    last_point = (np.array(image_hw[::-1]) - 1) // stride
    centers = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    points = np.clip(np.round(centers / stride), 0, last_point) * stride
    sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    anchor_sides = anchors.sides_wh()
    # (N, A, 2): how much of either side an anchor at the nearest point covers
    reach = (sides[:, None] + anchor_sides) / 2 - np.abs(centers - points)[:, None]
    covered = np.clip(np.minimum(np.minimum(sides[:, None], anchor_sides), reach), 0.0, None)
    shared = covered.prod(axis=2)
    union = sides.prod(axis=1)[:, None] + anchor_sides.prod(axis=1) - shared
    return (shared / union).max(axis=1, initial=0.0)


def good_share(best_iou: np.ndarray) -> float | None:
    """Returns the share of boxes that some anchor overlaps by at least half; None without boxes.

    Args:
        best_iou: (N,) from `best_anchor_iou`.
    """
    return float((best_iou >= GOOD_IOU).mean()) if len(best_iou) else None


def suggest_sizes(
    boxes: Sequence[tuple[np.ndarray, tuple[int, int]]], anchors: AnchorSet
) -> tuple[tuple[float, ...], float]:
    """Looks for as many sizes that fit more boxes; ratios and stride stay.

    Each step takes the size that reaches the most boxes that are not reached yet, which gives at
    least 63 % of what the best choice would (coverage is submodular), in practice nearly all.

    Args:
        boxes: boxes and size of each picture, with at least one box in all.
        anchors: what is to be replaced.

    Returns:
        The sizes, rising, and the share of boxes that they reach.
    """
    sizes = _candidates(np.concatenate([boxes_xyxy for boxes_xyxy, _ in boxes]))
    reached = np.stack([_reached(boxes, size, anchors) for size in sizes])
    chosen, covered = [], np.zeros(reached.shape[1], dtype=bool)
    for _ in anchors.sizes_px:
        gains = (reached & ~covered).sum(axis=1)
        best = int(gains.argmax())
        if gains[best] == 0:
            break
        chosen.append(float(sizes[best]))
        covered |= reached[best]
    return tuple(sorted(chosen)), float(covered.mean())


def _candidates(boxes_xyxy: np.ndarray) -> np.ndarray:
    sizes = np.sqrt((boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(axis=1))
    low, high = np.log2(np.quantile(sizes, [0.0, 1.0])) * SIZES_PER_OCTAVE
    return np.round(2.0 ** (np.arange(np.floor(low), np.ceil(high) + 1) / SIZES_PER_OCTAVE), 1)


def _reached(
    boxes: Sequence[tuple[np.ndarray, tuple[int, int]]], size_px: float, anchors: AnchorSet
) -> np.ndarray:
    single = AnchorSet((size_px,), anchors.ratios, anchors.stride_px)
    return np.concatenate([best_anchor_iou(b, hw, single) >= GOOD_IOU for b, hw in boxes])
