"""What a row is measured by, as one function of how often each photo counts.

Fewer numbers than `acnet evaluate` has, since each gets a bootstrap for every row, seed and set.
"""

import numpy as np

from acnet.evaluation.average_precision import PrecisionCurves
from acnet.evaluation.froc import FALSE_POSITIVES_PER_PHOTO, FrocCurve
from acnet.evaluation.headline import rate_name
from acnet.evaluation.matches import Matches

MAX_DETECTIONS = 1000  # of a photo and class
REPLICATES = 1000
BOOTSTRAP_SEED = 0
PERCENT = 100.0

# Those with an interval; the first is the headline, which is probably what the paper calls mAP.
RESAMPLED = {
    "AP50-VOC07": "AP50, VOC 2007",
    f"AP50@{MAX_DETECTIONS}": "AP50",
    f"AP@{MAX_DETECTIONS}": "AP",
    "sensitivity@1": "sens. at 1 FP",
    "FROC": "FROC",
}
HEADLINE = next(iter(RESAMPLED))


class TableNumbers:
    """The numbers of one model on one set, for any weights of the photos.

    Args:
        matches: of all photos, with a cap of `MAX_DETECTIONS`.
    """

    def __init__(self, matches: Matches):
        self._precision = PrecisionCurves(matches, suffixes=("",), caps=(MAX_DETECTIONS,))
        self._froc = FrocCurve(matches, rule="iou")

    def __call__(self, photo_weights: np.ndarray) -> dict[str, float | None]:
        """Compute the numbers in percent.

        Args:
            photo_weights: (P,) int64, how often each photo counts.

        Returns:
            Values by key; none where no photo with a lesion counts.
        """
        values: dict[str, float | None] = dict(self._precision.average_precision(photo_weights))
        froc = self._froc.froc(photo_weights)
        if froc is not None:
            for rate, value in zip(FALSE_POSITIVES_PER_PHOTO, froc.at_points, strict=True):
                values[f"sensitivity@{rate_name(rate)}"] = PERCENT * value
            values["FROC"] = PERCENT * froc.score
        return values
