"""Hits by the centre rule: where a detection points, whatever the size of its box."""

import numpy as np

from acnet.evaluation.columns import Detections, GroundTruth


class CentreMatcher:
    """Gives each detection, by falling score, the nearest lesion that nobody has hit before.

    Args:
        num_detections: D.
        num_gt: G.
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
        """Match the detections of a photo.

        Args:
            rows: N rows of the detections, those of the photo.
            boxes: M rows of the ground truth, those of the photo.
            detections: Of all photos.
            ground_truth: Of all photos.
            allowed: (N, M) bool, pairs of a class whose detection and lesion both count.
        """
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
