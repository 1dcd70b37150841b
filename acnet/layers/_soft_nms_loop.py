"""The loop of `soft_nms`, compiled for the CPU.

A pick lowers the scores of boxes of its class that it overlaps: few, and close by. Boxes are
therefore arranged in blocks of neighbours of one class. A pick goes through the blocks that it
touches, and the next pick is the best of the blocks' best, so that neither asks all boxes. All is
computed in float64, where scores that differ stay different.

Imported at the first call only: importing the compiler takes half a second.

Shape shorthand:
    N: number of boxes
    C: number of classes
    B: number of blocks
    L: boxes in a block, its lanes; the last block of a class may have empty ones
    K: number of picks
"""

import math

import numpy as np

from ._compiler import compiled

__all__ = ["pick_softly"]

_LANES = 64  # a fixed number, so that a loop over them becomes a few vector instructions
_LOG2_E = 1 / math.log(2)
_LN_2_HIGH, _LN_2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # their sum is ln(2)
_LEAST_EXPONENT = -700.0  # its exp is 1e-304, about the smallest that 2^n holds
_LOWEST, _HIGHEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_LARGEST = np.finfo(np.float64).max
_GONE = -1.0  # the score of an empty lane and of a box that was picked


@compiled
def pick_softly(
    boxes_xyxy: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    num_classes: int,
    gaussian: bool,
    iou_threshold: float,
    sigma: float,
    score_floor: float,
    max_detections: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Pick boxes by their decayed scores until enough are picked or the best is below the floor.

    Args:
        boxes_xyxy: (N, 4) float32, C-contiguous.
        scores: (N,) float32.
        classes: (N,) int64 in [0, C).
        num_classes: C.
        gaussian: whether the decay is Gaussian; linear otherwise.
        iou_threshold, sigma: of the two decays.
        score_floor: at least 0.
        max_detections: most picks wanted.

    Returns:
        (K,) int64 indices and (K,) float32 decayed scores.
    """
    members, slots, class_blocks = _arrange(boxes_xyxy, scores, classes, num_classes, score_floor)
    corners, remaining, bounds = _lay_out(boxes_xyxy, scores, members)
    blocks, limit = len(members), min(max_detections, len(scores))
    keep, decayed = np.empty(limit, np.int64), np.empty(limit, np.float32)
    best, best_scores = np.empty((1, blocks), np.int64), np.empty((1, blocks), np.float64)
    for block in range(blocks):
        best[0, block] = _best(remaining, members, block)
        best_scores[0, block] = remaining[block, slots[best[0, block]] % _LANES]
    pick, rests = np.empty(5, np.float64), np.empty(_LANES, np.float64)
    bits = np.empty(_LANES, np.int64)
    for picks in range(limit):
        index = _best(best_scores, best, 0)
        block, lane = slots[index] // _LANES, slots[index] % _LANES
        if blocks == 0 or best_scores[0, block] < score_floor:
            return keep[:picks], decayed[:picks]
        keep[picks], decayed[picks] = index, best_scores[0, block]
        for side in range(5):
            pick[side] = corners[block, side, lane]
        remaining[block, lane] = _GONE
        for other in range(class_blocks[classes[index]], class_blocks[classes[index] + 1]):
            if best_scores[0, other] > 0 and _touches(bounds, other, pick):
                if gaussian:
                    _decay_gaussian(remaining, corners, other, pick, sigma, rests, bits)
                else:
                    _decay_linear(remaining, corners, other, pick, iou_threshold)
            # Scores only fall: a best one that did not is still the best.
            if remaining[other, slots[best[0, other]] % _LANES] < best_scores[0, other]:
                best[0, other] = _best(remaining, members, other)
                best_scores[0, other] = remaining[other, slots[best[0, other]] % _LANES]
    return keep, decayed


@compiled
def _arrange(boxes_xyxy, scores, classes, num_classes, score_floor):
    """Sort boxes that are not below the floor by class and place, and cut them into blocks.

    Returns:
        (B, L) indices of boxes, N in empty lanes, each block of one class; (N,) the slot of each
        box, counted through all blocks; and (C + 1,) the first block of each class.
    """
    count = len(scores)
    low_x = low_y = np.inf
    high_x = high_y = -np.inf
    for i in range(count):
        x, y = boxes_xyxy[i, 0], boxes_xyxy[i, 1]
        low_x, high_x = min(low_x, x), max(high_x, x)
        low_y, high_y = min(low_y, y), max(high_y, y)
    side = max(1, int(math.sqrt(count / (_LANES * num_classes))))  # of a grid of places
    places = np.full(count, -1, np.int64)
    sizes = np.zeros((num_classes, side * side), np.int64)
    for i in range(count):
        if scores[i] >= score_floor:
            row = _cell(boxes_xyxy[i, 1], low_y, high_y, side)
            places[i] = row * side + _cell(boxes_xyxy[i, 0], low_x, high_x, side)
            sizes[classes[i], places[i]] += 1
    free = np.empty_like(sizes)  # the next slot of each class and place
    class_blocks = np.zeros(num_classes + 1, np.int64)
    for label in range(num_classes):
        slot = class_blocks[label] * _LANES
        for place in range(side * side):
            free[label, place] = slot
            slot += sizes[label, place]
        class_blocks[label + 1] = (slot + _LANES - 1) // _LANES
    members = np.full((class_blocks[-1], _LANES), count, np.int64)
    slots = np.zeros(count, np.int64)
    for i in range(count):
        if places[i] >= 0:
            slots[i] = free[classes[i], places[i]]
            free[classes[i], places[i]] += 1
            members[slots[i] // _LANES, slots[i] % _LANES] = i
    return members, slots, class_blocks


@compiled
def _cell(value, low, high, side):
    """The cell of [low, high] that holds a value; any will do where there is no such thing."""
    cell = (value - low) / (high - low) * side
    if not cell >= 0:  # NaN too
        return 0
    return min(int(min(cell, float(side))), side - 1)


@compiled
def _lay_out(boxes_xyxy, scores, members):
    """Copy what the loop reads into its order.

    Returns:
        (B, 5, L) corners and areas, (B, L) scores, and (B, 4) the corners around each block.
    """
    corners = np.zeros((len(members), 5, _LANES), np.float64)
    remaining = np.full((len(members), _LANES), _GONE, np.float64)
    bounds = np.empty((len(members), 4), np.float64)
    for block in range(len(members)):
        bounds[block, :2], bounds[block, 2:] = np.inf, -np.inf
        for lane in range(_LANES):
            i = members[block, lane]
            if i < len(scores):
                # Neither infinity, which times 0 is NaN, nor -0, whose bits are those of no number
                # above 0.
                remaining[block, lane] = min(np.float64(scores[i]), _LARGEST) + 0.0
                total = 0.0
                for side in range(4):
                    total += boxes_xyxy[i, side]
                if not math.isfinite(total):  # one of the four, as float32 cannot fill float64
                    continue  # it overlaps nothing, as a box without area
                for low in range(2):  # x, y
                    start, end = np.float64(boxes_xyxy[i, low]), np.float64(boxes_xyxy[i, low + 2])
                    corners[block, low, lane], corners[block, low + 2, lane] = start, end
                    bounds[block, low] = min(bounds[block, low], start)
                    bounds[block, low + 2] = max(bounds[block, low + 2], end)
                width = max(corners[block, 2, lane] - corners[block, 0, lane], 0.0)
                height = max(corners[block, 3, lane] - corners[block, 1, lane], 0.0)
                corners[block, 4, lane] = width * height
    return corners, remaining, bounds


@compiled
def _touches(bounds, block, pick):
    across = bounds[block, 0] < pick[2] and bounds[block, 2] > pick[0]
    return across and bounds[block, 1] < pick[3] and bounds[block, 3] > pick[1]


@compiled
def _decay_linear(remaining, corners, block, pick, iou_threshold):
    x1, y1, x2, y2, area = pick[0], pick[1], pick[2], pick[3], pick[4]
    for lane in range(_LANES):
        iou = _iou(x1, y1, x2, y2, area, corners, block, lane)
        factor = 1 - iou if iou > iou_threshold else 1.0
        score = remaining[block, lane]
        remaining[block, lane] = score * factor if score > 0 else score


@compiled
def _decay_gaussian(remaining, corners, block, pick, sigma, rests, bits):
    x1, y1, x2, y2, area = pick[0], pick[1], pick[2], pick[3], pick[4]
    scale = -1 / sigma
    for lane in range(_LANES):
        iou = _iou(x1, y1, x2, y2, area, corners, block, lane)
        exponent = iou * iou * scale if iou > 0 else 0.0
        exponent = exponent if exponent > _LEAST_EXPONENT else _LEAST_EXPONENT
        # exp(x) = 2^n exp(r), n whole and |r| <= ln(2) / 2: math.exp would be called box by box.
        twos = np.floor(exponent * _LOG2_E + 0.5)
        rests[lane] = exponent - twos * _LN_2_HIGH - twos * _LN_2_LOW
        bits[lane] = (np.int64(twos) + 1023) << 52  # the bits of 2^n
    powers = bits.view(np.float64)
    for lane in range(_LANES):
        score = remaining[block, lane]
        factor = _exp_of_small(rests[lane]) * powers[lane]
        remaining[block, lane] = score * factor if score > 0 else score


@compiled
def _exp_of_small(x):
    """The series of exp up to x^12 / 12!, for |x| <= ln(2) / 2 all that float64 holds."""
    high = 1 / 40320 + x * (1 / 362880 + x * (1 / 3628800 + x * (1 / 39916800 + x / 479001600)))
    middle = 1 / 24 + x * (1 / 120 + x * (1 / 720 + x * (1 / 5040 + x * high)))
    return 1 + x * (1 + x * (1 / 2 + x * (1 / 6 + x * middle)))


@compiled
def _iou(x1, y1, x2, y2, area, corners, block, lane):
    """Without a branch, so that a loop over it is vectorised; NaN where neither has an area."""
    left = x1 if x1 > corners[block, 0, lane] else corners[block, 0, lane]
    top = y1 if y1 > corners[block, 1, lane] else corners[block, 1, lane]
    right = x2 if x2 < corners[block, 2, lane] else corners[block, 2, lane]
    bottom = y2 if y2 < corners[block, 3, lane] else corners[block, 3, lane]
    width = right - left if right > left else 0.0
    height = bottom - top if bottom > top else 0.0
    intersection = width * height
    return intersection / (area + corners[block, 4, lane] - intersection)


@compiled
def _best(scores, indices, row):
    """The index of the highest score in a row: of equal scores, the lowest index."""
    # As integers, whose order is the same for the numbers here and whose maximum is vectorised.
    bits = scores.view(np.int64)
    top, first = np.int64(_LOWEST), np.int64(_HIGHEST)
    for i in range(bits.shape[1]):
        top = max(top, bits[row, i])
    for i in range(bits.shape[1]):
        first = min(first, indices[row, i] if bits[row, i] == top else np.int64(_HIGHEST))
    return first
