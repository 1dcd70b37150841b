"""Average precision and recall from the one match: COCO's and VOC's, weighted by photos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acnet.evaluation.matching import Matches


class PrecisionCurves:
    """What is sorted once, so that each re-weighting of the photos costs only sums.

    Args:
        matches: Of all photos.
        suffixes: Of the size ranges that are wanted; None for all.
        caps: Those that are wanted; None for all.
        voc: Whether VOC's numbers are wanted.
    """

    def __init__(
        self,
        matches: Matches,
        *,
        suffixes: Sequence[str] | None = None,
        caps: Sequence[int] | None = None,
        voc: bool = True,
    ):
        raise NotImplementedError

    def average_precision(self, photo_weights: np.ndarray | None = None) -> dict[str, float]:
        """Compute every number, with each photo counted as often as its weight says.

        Args:
            photo_weights: (P,) integers, at least 0; None for once each.

        Returns:
            See `average_precision`.
        """
        raise NotImplementedError


def average_precision(
    matches: Matches, *, photo_weights: np.ndarray | None = None
) -> dict[str, float]:
    """Compute average precision and recall in percent.

    Args:
        matches: Of all photos.
        photo_weights: (P,) integers: how often each photo counts; None for once each. For many
            weightings of the same match use `PrecisionCurves`.

    Returns:
        For each cap, `AP@1000`, `AP50@1000`, `AP75@1000` and `AR@1000`; the same for size ranges
        without AP75, `APs@1000`, `AP50[0-16px]@1000`; for several classes `AP-NAME@1000` and
        `AP50-NAME@1000`; then VOC's `AP50-VOC07` (11 points) and `AP50-area`. A size range or a
        class without ground truth has no key, and without any ground truth there is no key at all.
        No detections is 0.
    """
    return PrecisionCurves(matches).average_precision(photo_weights)


@dataclass(frozen=True, kw_only=True, eq=False)
class PrecisionRecall:
    """A curve for a figure, one point a true positive.

    Args:
        recall: (N,) rising, in [0, 1].
        precision: (N,) as measured, not made monotonic, in [0, 1].
        scores: (N,) falling; the threshold that gives the point.
        ap: Of the curve by COCO's 101 points, in percent.
    """

    recall: np.ndarray
    precision: np.ndarray
    scores: np.ndarray
    ap: float


def precision_recall(
    matches: Matches, *, class_index: int = 0, iou: float = 0.5, cap: int | None = None
) -> PrecisionRecall | None:
    """Return the curve of precision over recall of one class.

    Args:
        matches: Of all photos.
        class_index: Of the class.
        iou: One of the thresholds.
        cap: One of the caps; None for the largest.

    Returns:
        The curve, without points where nothing was found; None for a class without ground truth.
    """
    raise NotImplementedError
