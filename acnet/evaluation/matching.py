"""The one match of detections with ground truth that every number is computed from.

Shape shorthand: P photos, K classes, G ground-truth boxes, D detections, T IoU thresholds,
A size ranges.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acnet.evaluation.columns import COCO_RANGES, Detections, GroundTruth, SizeRange, lesion_ranges

COCO_IOUS = tuple(np.linspace(0.5, 0.95, 10).tolist())
DEFAULT_RANGES = (*COCO_RANGES, *lesion_ranges())
DEFAULT_CAPS = (100, 1000)


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
            restricted to `rank < 100` is the match at cap 100, and beyond the last cap nothing is
            matched.
        best_iou: (D,) float64 largest IoU with a box of its class that is no crowd; 0 for none.
        best_gt: (D,) int32 the first such box, an index into the ground truth; -1 for none.
        best_iou_other: (D,) float64 largest IoU with a box of another class that is no crowd.
        best_gt_other: (D,) int32 the first such box; -1 for none.
        centre_gt: (D,) int32 the lesion that this detection hits by the centre rule; -1 for none.
        centre_near: (D,) bool, its centre is on some lesion of its class, hit before or not.
        num_gt: (P, K, A) int32 boxes that count, of each photo, class and size range.
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

    def matched(self, *, iou: float = 0.5, suffix: str = "") -> np.ndarray:
        """Tell which detections are matched with a box, be it one that counts or not.

        Args:
            iou: One of the thresholds.
            suffix: Of one of the size ranges.

        Returns:
            (D,) bool.
        """
        raise NotImplementedError

    def ignored(self, *, iou: float = 0.5, suffix: str = "") -> np.ndarray:
        """Tell which detections neither count nor punish.

        Args:
            iou: One of the thresholds.
            suffix: Of one of the size ranges.

        Returns:
            (D,) bool; a true positive is matched and not ignored, a false one neither.
        """
        raise NotImplementedError

    def matched_gt(self, *, iou: float = 0.5) -> np.ndarray:
        """Tell the partner of each detection, for all sizes.

        Args:
            iou: One of the thresholds.

        Returns:
            (D,) int32 index into the ground truth; -1 for none.
        """
        raise NotImplementedError


def match(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    iou_thresholds: Sequence[float] = COCO_IOUS,
    size_ranges: Sequence[SizeRange] = DEFAULT_RANGES,
    max_detections: Sequence[int] = DEFAULT_CAPS,
    centre_radius_px: float | None = None,
) -> Matches:
    """Match detections with ground truth, photo by photo, by COCO's rule.

    Args:
        ground_truth: Of all photos.
        detections: Of the same photos.
        iou_thresholds: In (0, 1].
        size_ranges: The first has to be that of all sizes.
        max_detections: Caps: detections of each photo and class that count, best scores first.
        centre_radius_px: By the centre rule a detection hits a lesion when their centres are at
            most this far apart; None: when its centre is inside the lesion's box.

    Returns:
        What became of each detection.

    Raises:
        UserError: A photo holds more lesions of a class than the largest cap.
        ValueError: An option is out of its range.
    """
    raise NotImplementedError
