"""What became of the lesions and the detections of one photo, as boxes to be drawn."""

import numpy as np

from acnet.evaluation.result import EvaluationResult


class PhotoBoxes:
    """Boxes of a photo by kind, at the operating threshold.

    Args:
        result: Of the evaluation.
    """

    def __init__(self, result: EvaluationResult):
        self.truth, self.detections = result.ground_truth, result.detections
        self.partner = result.matches.matched_gt(iou=0.5)
        self.ignored = result.matches.ignored(iou=0.5)
        self.accepted = self.detections.scores >= result.operating_threshold
        self.truth_xyxy, self.found_xyxy = self.truth.boxes_xyxy, self.detections.boxes_xyxy

    def of_photo(self, index: int) -> dict[str, np.ndarray]:
        """Return a photo's boxes.

        Args:
            index: Of the photo in the ground truth's columns.

        Returns:
            (N, 4) by kind: detections that are `found` and `false`, lesions that are `missed`, and
            those that were found, `truth`.
        """
        mine = np.flatnonzero((self.detections.photo == index) & self.accepted & ~self.ignored)
        hits = mine[self.partner[mine] >= 0]
        lesions = np.flatnonzero((self.truth.photo == index) & ~self.truth.crowd)
        hit = np.isin(lesions, self.partner[hits])
        return {
            "truth": self.truth_xyxy[lesions[hit]],
            "found": self.found_xyxy[hits],
            "false": self.found_xyxy[np.setdiff1d(mine, hits)],
            "missed": self.truth_xyxy[lesions[~hit]],
        }
