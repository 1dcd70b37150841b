"""Free-response ROC: sensitivity over false positives a photo."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from acnet.evaluation.matches import Matches

FALSE_POSITIVES_PER_PHOTO = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Froc:
    """Sensitivity over false positives, and at the points that are usually reported.

    Args:
        false_positives: (N,) false positives a photo, rising; the curve, from its first detection.
        sensitivity: (N,) share of the lesions that are hit, rising, in [0, 1].
        scores: (N,) falling; the threshold that gives the point.
        points: The false positives a photo that were asked for.
        at_points: Sensitivity at each; for fewer false positives than that, the last there is.
        thresholds: The score from which each is reached; None for no detection at all.
        score: Mean of `at_points`, in [0, 1].
    """

    false_positives: np.ndarray
    sensitivity: np.ndarray
    scores: np.ndarray
    points: tuple[float, ...]
    at_points: tuple[float, ...]
    thresholds: tuple[float | None, ...]
    score: float


def froc(
    matches: Matches,
    *,
    rule: Literal["iou", "centre"] = "iou",
    iou: float = 0.5,
    duplicates: Literal["ignored", "false"] = "ignored",
    points: tuple[float, ...] = FALSE_POSITIVES_PER_PHOTO,
    photo_weights: np.ndarray | None = None,
) -> Froc | None:
    """Compute the FROC curve, all classes together, each detection by its own class.

    Args:
        matches: Of all photos.
        rule: "iou": a detection hits the lesion that it is matched with at `iou`; "centre": see
            `match`.
        iou: One of the match's thresholds.
        duplicates: What a further detection on a lesion that is hit already is.
        points: False positives a photo at which sensitivity is reported.
        photo_weights: (P,) integers: how often each photo counts; None for once each.

    Returns:
        The curve; None without a lesion, for then there is nothing to find.
    """
    raise NotImplementedError
