"""Whether scores mean what they say: of detections with score 0.7, are 70 % right?"""

from dataclasses import dataclass

import numpy as np

from acnet.evaluation.matching import Matches

CORRECT_IOU = 0.5


@dataclass(frozen=True, kw_only=True)
class Bins:
    """Detections by score; B bins, those without a detection left out.

    Args:
        edges: (B, 2) lowest and highest score of the bin; of equal-width bins, its limits.
        counts: (B,) detections.
        mean_scores: (B,) their mean score.
        precisions: (B,) share of them that is right.
        ece: Expected calibration error, 0 to 1; None where there is no detection.
    """

    edges: np.ndarray
    counts: np.ndarray
    mean_scores: np.ndarray
    precisions: np.ndarray
    ece: float | None


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Reliability of scores at IoU 0.5.

    Args:
        equal_width: Bins of equal width on 0 to 1, those of the reliability plot.
        equal_mass: Bins with equally many detections each, as far as ties allow.
    """

    equal_width: Bins
    equal_mass: Bins


def calibration(matches: Matches, *, bins: int = 10) -> Calibration:
    """Compare the scores with the share of detections that is right."""
    raise NotImplementedError
