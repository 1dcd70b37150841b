"""What became of each detection, in few bytes.

Few detections reach the smallest IoU threshold with a lesion, and only they can be matched. Their
results for all sizes and thresholds are stored as bits: ten thresholds and nine size ranges take
24 bytes a detection of that kind, and none for the others.

Shape shorthand: P photos, K classes, G ground-truth boxes, D detections, T IoU thresholds,
A size ranges; C candidates, the detections that can be matched; E pairs of a detection and a box.
"""

import math
from dataclasses import dataclass

import numpy as np

from acnet.evaluation.columns import Detections, GroundTruth, SizeRange


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedMatches:
    """The bits of the candidates; bit `a * T + t` is size range a, threshold t.

    Args:
        candidates: (C,) int64 rising rows of the detections.
        matched: (C, bytes) uint8, matched with a box, be it one that counts or not.
        ignored: (C, bytes) uint8, matched with a box that does not count.
        pair_detections: (E,) int64 rows of the detections matched in the first size range.
        pair_gt: (E,) int32 boxes that they are matched with.
        pair_thresholds: (E,) uint64, bit t for each threshold at which that is so.
    """

    candidates: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    pair_detections: np.ndarray
    pair_gt: np.ndarray
    pair_thresholds: np.ndarray

    def are_matched(self, bit: int) -> np.ndarray:
        """Return one bit of `matched`, (C,) bool."""
        return _bit_column(self.matched, bit)

    def are_ignored(self, bit: int) -> np.ndarray:
        """Return one bit of `ignored`, (C,) bool."""
        return _bit_column(self.ignored, bit)


@dataclass(frozen=True, kw_only=True, eq=False)
class Matches:
    """What became of each detection; rows are those of `Detections`, in the same order.

    Args:
        ground_truth: What was matched with.
        detections: What was matched; D rows.
        iou_thresholds: T rising thresholds.
        size_ranges: A ranges; the first is that of all sizes.
        caps: Rising numbers of detections a photo and class that may count.
        rank: (D,) int32 place by score within its photo and class, from 0. The match at cap 1000
            restricted to `rank < 100` is the match at cap 100. From the last cap on, nothing is
            matched and all is ignored.
        best_iou: (D,) float64 largest IoU with a box of its class that is no crowd; 0 for none.
        best_gt: (D,) int32 the first such box, an index into the ground truth; -1 for none.
        best_iou_other: (D,) float64 largest IoU with a box of another class that is no crowd.
        best_gt_other: (D,) int32 the first such box; -1 for none.
        centre_gt: (D,) int32 the lesion that this detection hits by the centre rule; -1 for none.
        centre_near: (D,) bool, its centre is on some lesion of its class, hit before or not.
        num_gt: (P, K, A) int32 boxes that count, of each photo, class and size range.
        packed: What `matched`, `ignored` and `matched_gt` read.
    """

    ground_truth: GroundTruth
    detections: Detections
    iou_thresholds: tuple[float, ...]
    size_ranges: tuple[SizeRange, ...]
    caps: tuple[int, ...]
    rank: np.ndarray
    best_iou: np.ndarray
    best_gt: np.ndarray
    best_iou_other: np.ndarray
    best_gt_other: np.ndarray
    centre_gt: np.ndarray
    centre_near: np.ndarray
    num_gt: np.ndarray
    packed: PackedMatches

    def matched(self, *, iou: float = 0.5, suffix: str = "") -> np.ndarray:
        """Tell which detections are matched with a box, be it one that counts or not.

        Args:
            iou: One of the thresholds.
            suffix: Of one of the size ranges.

        Returns:
            (D,) bool.
        """
        matched = np.zeros(len(self.detections), dtype=bool)
        matched[self.packed.candidates] = self.packed.are_matched(self.bit(iou, suffix))
        return matched

    def ignored(self, *, iou: float = 0.5, suffix: str = "") -> np.ndarray:
        """Tell which detections neither count nor punish.

        Args:
            iou: One of the thresholds.
            suffix: Of one of the size ranges.

        Returns:
            (D,) bool: matched with a box that does not count, unmatched and of another size, or
            beyond the last cap. A true positive is matched and not ignored, a false one neither.
        """
        bit = self.bit(iou, suffix)
        ignored = self.outside(suffix)
        ignored[self.packed.candidates] &= ~self.packed.are_matched(bit)
        ignored[self.packed.candidates] |= self.packed.are_ignored(bit)
        return ignored | (self.rank >= self.caps[-1])

    def matched_gt(self, *, iou: float = 0.5) -> np.ndarray:
        """Tell the partner of each detection, for all sizes.

        Args:
            iou: One of the thresholds.

        Returns:
            (D,) int32 index into the ground truth; -1 for none.
        """
        threshold = np.uint64(self.threshold_index(iou))
        chosen = (self.packed.pair_thresholds >> threshold & np.uint64(1)).astype(bool)
        partners = np.full(len(self.detections), -1, dtype=np.int32)
        partners[self.packed.pair_detections[chosen]] = self.packed.pair_gt[chosen]
        return partners

    def outside(self, suffix: str) -> np.ndarray:
        """Tell which detections have a size outside of a range.

        Args:
            suffix: Of one of the size ranges.

        Returns:
            (D,) bool.
        """
        size_range = self.size_ranges[self.range_index(suffix)]
        boxes = self.detections.boxes_xywh
        return size_range.excludes(boxes[:, 2] * boxes[:, 3])

    def threshold_index(self, iou: float) -> int:
        """Return the index of an IoU threshold.

        Args:
            iou: The threshold, to nine digits.

        Raises:
            ValueError: It is not one of the match's.
        """
        for index, threshold in enumerate(self.iou_thresholds):
            if math.isclose(threshold, iou, abs_tol=1e-9):
                return index
        raise ValueError(
            "A threshold must be one of those that were matched at, since a match is made for each."
            f" Received {iou}, matched at {self.iou_thresholds}; add it to match(iou_thresholds=)."
        )

    def range_index(self, suffix: str) -> int:
        """Return the index of a size range.

        Args:
            suffix: Its suffix.

        Raises:
            ValueError: It is not one of the match's.
        """
        suffixes = [size_range.suffix for size_range in self.size_ranges]
        if suffix in suffixes:
            return suffixes.index(suffix)
        raise ValueError(
            "A size range must be one of those that were matched in, since a match is made for "
            f"each. Received {suffix!r}, matched in {suffixes}; add it to match(size_ranges=)."
        )

    def check_cap(self, cap: int) -> None:
        """Check that a cap is one of the match's.

        Args:
            cap: Detections of each photo and class that count.

        Raises:
            ValueError: It is not.
        """
        if cap not in self.caps:
            raise ValueError(
                "A cap must be one of those that were matched with, so that all numbers of a run "
                f"have the same. Received {cap}, matched with {self.caps}; add it to "
                "match(max_detections=)."
            )

    def bit(self, iou: float, suffix: str) -> int:
        """Return the place in `packed` of a threshold in a size range."""
        return self.range_index(suffix) * len(self.iou_thresholds) + self.threshold_index(iou)


def _bit_column(packed: np.ndarray, bit: int) -> np.ndarray:
    """Return one bit of each row, (C,) bool."""
    return (packed[:, bit // 8] >> (bit % 8) & 1).astype(bool)
