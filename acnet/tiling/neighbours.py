"""Which boxes overlap, without looking at all pairs.

Shape shorthand in this module:
    N: number of boxes
    E: number of pairs
"""

import itertools
from dataclasses import dataclass

import numpy as np

PAIRS_AT_ONCE = 2_000_000  # bounds the memory of one step to some 100 MB


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each box those that overlap it: the rows of a sparse N x N matrix.

    Args:
        starts: (N + 1,), where the row of each box begins; the last is the end.
        others: (2E,) the boxes of each row, rising.
        ious: (2E,) float32, their intersection over union.
    """

    starts: np.ndarray
    others: np.ndarray
    ious: np.ndarray


def find_neighbours(
    boxes_xyxy: np.ndarray, classes: np.ndarray, *, above_iou: float, tiles: np.ndarray | None
) -> Neighbours:
    """Finds the pairs of boxes that overlap by more than a bound.

    Args:
        boxes_xyxy: (N, 4).
        classes: (N,) integers; boxes of different classes are no pair.
        above_iou: the bound, from 0.
        tiles: (N,) integers; boxes of the same tile are no pair. None lets them be.

    Returns:
        Each pair, in the row of both.
    """
    boxes = np.asarray(boxes_xyxy, np.float32)
    order = np.argsort(boxes[:, 0], kind="stable")
    left, right = boxes[order, 0], boxes[order, 2]
    # In the order of their left sides, those that begin before a box ends follow it at once.
    following = np.searchsorted(left, right) - np.arange(1, len(boxes) + 1)
    following = following.clip(min=0)
    first, second, ious = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, "f")]
    for begin, end in _steps(following):
        one, other = _expand(following[begin:end], begin)
        one, other = order[one], order[other]
        pairs = classes[one] == classes[other]
        if tiles is not None:
            pairs &= tiles[one] != tiles[other]
        one, other = one[pairs], other[pairs]
        iou = _iou(boxes[one], boxes[other])
        close = iou > above_iou
        first.append(one[close])
        second.append(other[close])
        ious.append(iou[close])
    return _rows(len(boxes), *(np.concatenate(parts) for parts in (first, second, ious)))


def _steps(following: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of boxes whose candidates are about `PAIRS_AT_ONCE`."""
    step = np.cumsum(following) // PAIRS_AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(step)) + 1).tolist(), len(following)]
    return list(itertools.pairwise(edges))


def _expand(following: np.ndarray, begin: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of each place from `begin` with the places that follow it, as many as given."""
    one = np.repeat(np.arange(len(following)), following)
    before = np.cumsum(following) - following
    return begin + one, begin + one + 1 + np.arange(len(one)) - before[one]


def _iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(E,) intersection over union; two boxes without area share nothing."""
    low, high = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    intersection = (high - low).clip(min=0).prod(axis=1)
    union = _area(one) + _area(other) - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1)


def _rows(num_boxes: int, first: np.ndarray, second: np.ndarray, ious: np.ndarray) -> Neighbours:
    rows, others = np.concatenate([first, second]), np.concatenate([second, first])
    order = np.lexsort((others, rows))
    starts = np.searchsorted(rows[order], np.arange(num_boxes + 1))
    return Neighbours(starts, others[order], np.concatenate([ious, ious])[order])
