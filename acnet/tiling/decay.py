"""NMS and Soft-NMS over a photo: a better box lowers the scores of those that overlap it.

The same rule as `acnet.layers.soft_nms`, for ten thousands of boxes on a CPU: a pick touches only
the boxes that it overlaps, and the next pick comes from a heap, so the work grows with the number
of overlapping pairs and not with the square of the number of boxes.

Shape shorthand in this module:
    N: number of boxes
    K: number of picks
"""

import heapq

import numpy as np

from acnet.tiling.neighbours import Neighbours


def linear_decay(ious: np.ndarray) -> np.ndarray:
    """Returns Soft-NMS's factors `1 - iou`.

    Args:
        ious: of the pairs above its threshold.
    """
    return 1 - ious


def gaussian_decay(ious: np.ndarray, sigma: float) -> np.ndarray:
    """Returns Soft-NMS's factors `exp(-iou^2 / sigma)`.

    Args:
        ious: of all pairs that overlap.
        sigma: above 0.
    """
    return np.exp(-np.square(ious) / np.float32(sigma))


def hard_decay(ious: np.ndarray) -> np.ndarray:
    """Returns NMS's factors, 0.

    Args:
        ious: of the pairs above its threshold.
    """
    return np.zeros_like(ious)


def pick_and_decay(
    scores: np.ndarray, neighbours: Neighbours, factors: np.ndarray, *, score_floor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Picks boxes by their scores, best first, each lowering the scores of its neighbours.

    Args:
        scores: (N,) float32.
        neighbours: of each box.
        factors: for each entry of `neighbours.others`, what its score is multiplied by, 0 to 1.
        score_floor: boxes whose score is below are not picked.

    Returns:
        (K,) indices in the order of picking and their (K,) lowered scores, which never rise. Equal
        scores are picked in the order of the input.
    """
    remaining = scores.astype(np.float32)
    # The heap's scores are those of the time of pushing, and scores only fall: an entry that is
    # still true is the best of all.
    heap = [(-score, index) for index, score in enumerate(remaining.tolist())]
    heapq.heapify(heap)
    picks, picked_scores = [], []
    while heap:
        pushed, index = heapq.heappop(heap)
        score = float(remaining[index])
        if score < score_floor:
            continue
        if score != -pushed:
            heapq.heappush(heap, (-score, index))
            continue
        picks.append(index)
        picked_scores.append(score)
        row = slice(neighbours.starts[index], neighbours.starts[index + 1])
        remaining[neighbours.others[row]] *= factors[row]
    return np.array(picks, np.int64), np.array(picked_scores, np.float32)
