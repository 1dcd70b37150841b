"""When a detection hits a lesion: the overlap of boxes, COCO's greedy rule and the centre rule.

What pycocotools does in a loop over size ranges, thresholds, detections and boxes is one pass over
the few pairs that reach a threshold: each (range, threshold) is one bit of an integer, so that an
`and` decides all of them. Bit `a * T + t` is size range a, threshold t.

Overlaps follow the arithmetic of pycocotools to the last bit. Half of the boxes of a data set are
drawn on whole pixels, so an IoU of exactly 0.5 is common, and another order of the same sums would
decide such pairs differently.

Shape shorthand: G ground-truth boxes, T IoU thresholds, A size ranges; C candidates, the detections
that can be matched; E pairs of a detection and a box; N and M boxes of one photo.
"""

import itertools
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from acnet.evaluation.columns import Detections, GroundTruth


def intersection_areas(boxes_xywh: np.ndarray, others_xywh: np.ndarray) -> np.ndarray:
    """Compute the common area of each of (N, 4) boxes with each of (M, 4) others, (N, M)."""
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
    """Compute the intersection over union of each pair of boxes, (N, M) in [0, 1].

    Boxes without area have 0 with any. Where the other is a crowd, (M,) bool, the area of the first
    box alone stands for the union.
    """
    unions = areas[:, None] + other_areas[None]
    unions -= intersections
    if crowd is not None:
        unions[:, crowd] = areas[:, None]
    return np.divide(
        intersections, unions, out=np.zeros_like(intersections), where=intersections > 0
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedMatches:
    """What became of the few detections that can be matched, in few bytes.

    Ten thresholds and nine size ranges take 24 bytes a detection of that kind, and none for others.
    """

    candidates: np.ndarray  # (C,) int64 rising rows of the detections
    matched: np.ndarray  # (C, bytes) uint8, matched with a box, be it one that counts or not
    ignored: np.ndarray  # (C, bytes) uint8, matched with a box that does not count
    pair_detections: np.ndarray  # (E,) int64 rows of those matched in the first size range
    pair_gt: np.ndarray  # (E,) int32 boxes that they are matched with
    pair_thresholds: np.ndarray  # (E,) uint64, bit t for each threshold at which that is so

    def are_matched(self, bit: int) -> np.ndarray:
        """Return one bit of `matched`, (C,) bool."""
        return self._column(self.matched, bit)

    def are_ignored(self, bit: int) -> np.ndarray:
        """Return one bit of `ignored`, (C,) bool."""
        return self._column(self.ignored, bit)

    @staticmethod
    def _column(bits: np.ndarray, bit: int) -> np.ndarray:
        return (bits[:, bit // 8] >> (bit % 8) & 1).astype(bool)


# As in pycocotools, so that a detection equal to its box is matched at a threshold of 1 as well.
LARGEST_THRESHOLD = 1 - 1e-10


class GreedyMatcher:
    """Matches detections that come by falling score, one photo and class after another.

    Args:
        iou_thresholds: T rising thresholds.
        not_counting: (G, A) bool, the box is outside of the size range or a crowd.
        crowd: (G,) bool, the box can be matched with many.

    Attributes:
        smallest_iou: Pairs that overlap less are never matched.
    """

    def __init__(
        self, iou_thresholds: Sequence[float], not_counting: np.ndarray, crowd: np.ndarray
    ):
        num_thresholds, num_ranges = len(iou_thresholds), not_counting.shape[1]
        blocks = [1 << (index * num_thresholds) for index in range(num_ranges)]
        self._limits = np.minimum(iou_thresholds, LARGEST_THRESHOLD)
        self.smallest_iou = float(self._limits[0])
        self._first_range = (1 << num_thresholds) - 1
        self._num_bytes = -(-num_thresholds * num_ranges // 8)
        # By the number of thresholds that an IoU reaches.
        self._reach = [((1 << level) - 1) * sum(blocks) for level in range(num_thresholds + 1)]
        self._not_counting = _as_integers(not_counting, [self._first_range * b for b in blocks])
        self._crowd = crowd.tolist()
        self._taken = [0] * len(crowd)
        self._candidates = array("q")
        self._matched = bytearray()
        self._ignored = bytearray()
        self._pairs = array("q"), array("i"), array("Q")

    def add(self, rows: np.ndarray, boxes: np.ndarray, ious: np.ndarray) -> None:
        """Match detections of a photo by pairs, (N,), that reach the smallest threshold.

        Rows of the detections rise, each as often as it has boxes of its photo and class.
        """
        levels = np.searchsorted(self._limits, ious, side="right")
        order = np.lexsort((-boxes, -ious, rows))  # best first, and of equal ones the later box
        columns = (column[order].tolist() for column in (rows, boxes, levels))
        for row, pairs in itertools.groupby(zip(*columns, strict=True), key=itemgetter(0)):
            self._match_one(row, [(box, self._reach[level]) for _, box, level in pairs])

    def _match_one(self, row: int, partners: list[tuple[int, int]]) -> None:
        """Give each bit the best free box that counts, or else the best free one that does not."""
        matched = ignored = 0
        for box, reach in partners:
            chosen = reach & ~self._taken[box] & ~self._not_counting[box] & ~matched
            if chosen:
                matched |= chosen
                self._take(row, box, chosen)
        for box, reach in partners:
            chosen = reach & ~self._taken[box] & self._not_counting[box] & ~matched
            if chosen:
                matched |= chosen
                ignored |= chosen
                self._take(row, box, chosen)
        self._candidates.append(row)
        self._matched += matched.to_bytes(self._num_bytes, "little")
        self._ignored += ignored.to_bytes(self._num_bytes, "little")

    def _take(self, row: int, box: int, chosen: int) -> None:
        if not self._crowd[box]:
            self._taken[box] |= chosen
        if thresholds := chosen & self._first_range:
            for column, value in zip(self._pairs, (row, box, thresholds), strict=True):
                column.append(value)

    def packed(self) -> PackedMatches:
        """Return the results of all that was added."""
        rows, boxes, thresholds = self._pairs
        return PackedMatches(
            candidates=np.array(self._candidates, dtype=np.int64),
            matched=np.frombuffer(bytes(self._matched), np.uint8).reshape(-1, self._num_bytes),
            ignored=np.frombuffer(bytes(self._ignored), np.uint8).reshape(-1, self._num_bytes),
            pair_detections=np.array(rows, dtype=np.int64),
            pair_gt=np.array(boxes, dtype=np.int32),
            pair_thresholds=np.array(thresholds, dtype=np.uint64),
        )


def _as_integers(flags: np.ndarray, bits: Sequence[int]) -> list[int]:
    """Return the sum of the bits that are flagged, for each row of (N, A) flags."""
    patterns, pattern_of_row = np.unique(flags, axis=0, return_inverse=True)
    sums = [sum(b for b, flag in zip(bits, row, strict=True) if flag) for row in patterns.tolist()]
    return [sums[index] for index in pattern_of_row.ravel().tolist()]


class CentreMatcher:
    """Gives each detection, by falling score, the nearest lesion that nobody has hit before.

    Args:
        radius_px: How far the centres may be apart; None: the detection's centre has to be inside
            the lesion's box, its edges included.
    """

    def __init__(self, num_detections: int, num_gt: int, radius_px: float | None):
        self._radius_px = radius_px
        self._taken = np.zeros(num_gt, dtype=bool)
        self.gt = np.full(num_detections, -1, dtype=np.int32)
        self.near = np.zeros(num_detections, dtype=bool)

    def add(
        self,
        rows: slice,
        boxes: slice,
        detections: Detections,
        ground_truth: GroundTruth,
        allowed: np.ndarray,
    ) -> None:
        """Match a photo's N rows and M boxes; (N, M) `allowed`: of one class, and both count."""
        gt_xywh = ground_truth.boxes_xywh[boxes]
        # (N, M, 2) from the lesion's centre to the detection's
        offsets = _centres(detections.boxes_xywh[rows])[:, None] - _centres(gt_xywh)[None]
        distances = np.hypot(offsets[..., 0], offsets[..., 1])
        if self._radius_px is None:
            allowed = allowed & (np.abs(offsets) <= gt_xywh[None, :, 2:] / 2).all(axis=2)
        else:
            allowed = allowed & (distances <= self._radius_px)
        found, true = np.nonzero(allowed)
        self.near[rows.start + found] = True
        order = np.lexsort((true, distances[found, true], found))
        for row, box in zip(
            (rows.start + found[order]).tolist(), (boxes.start + true[order]).tolist(), strict=True
        ):
            if self.gt[row] < 0 and not self._taken[box]:
                self.gt[row] = box
                self._taken[box] = True


def _centres(boxes_xywh: np.ndarray) -> np.ndarray:
    return boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2
