"""How many lesions were counted, against how many there are."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LIMITS_OF_AGREEMENT = 1.96  # standard deviations; Bland and Altman's figure


@dataclass(frozen=True, kw_only=True)
class BlandAltman:
    """Agreement of two counts: their differences over their means; P photos.

    Args:
        means: (P,) mean of the predicted and the true count of each photo.
        differences: (P,) predicted minus true.
        bias: Mean difference.
        low: Lower limit of agreement, bias - 1.96 standard deviations; None for one photo.
        high: Upper limit of agreement.
    """

    means: np.ndarray
    differences: np.ndarray
    bias: float
    low: float | None
    high: float | None


def count_by_image(
    rows: Iterable[Mapping], image_ids: Sequence[int], *, score_threshold: float = 0.0
) -> list[int]:
    """Count annotations or detections of each image.

    Args:
        rows: COCO annotations, or COCO results with a `score`.
        image_ids: The images to count in; rows of others are ignored.
        score_threshold: Rows with a lower score do not count.

    Returns:
        One count an image, in the order of `image_ids`; 0 for an image without rows.
    """
    counts = Counter(
        row["image_id"] for row in rows if "score" not in row or row["score"] >= score_threshold
    )
    return [counts[image_id] for image_id in image_ids]


def count_errors(
    predicted: Sequence[int], true: Sequence[int], *, photo_weights: np.ndarray | None = None
) -> dict[str, float]:
    """Compare counts photo by photo.

    Args:
        predicted: Lesions found in each photo.
        true: Lesions in each photo.
        photo_weights: How often each photo counts; once by default.

    Returns:
        "MAE", the mean absolute error, "RMSE", its root mean square, and "bias", the mean of
        predicted minus true, all in lesions a photo.

    Raises:
        ValueError: There is no photo, or not one count of each kind for each.
    """
    errors = _differences(predicted, true)
    return {
        "MAE": float(np.average(np.abs(errors), weights=photo_weights)),
        "RMSE": float(np.sqrt(np.average(np.square(errors), weights=photo_weights))),
        "bias": float(np.average(errors, weights=photo_weights)),
    }


def bland_altman(predicted: Sequence[int], true: Sequence[int]) -> BlandAltman:
    """Show how the error of a count depends on its size.

    Args:
        predicted: (P,) lesions found in each photo.
        true: (P,) lesions in each photo.

    Returns:
        The points and the limits of agreement, between which 95 % of the differences lie where
        they are normally distributed. Counts are not quite: look at the points.

    Raises:
        ValueError: There is no photo, or not one count of each kind for each.

    Reference:
        Bland and Altman, "Statistical methods for assessing agreement between two methods of
        clinical measurement", Lancet 1986.
    """
    differences = _differences(predicted, true)
    bias = float(differences.mean())
    reach = LIMITS_OF_AGREEMENT * float(differences.std(ddof=1)) if len(differences) > 1 else None
    return BlandAltman(
        means=np.asarray(true, dtype=np.float64) + differences / 2,
        differences=differences,
        bias=bias,
        low=None if reach is None else bias - reach,
        high=None if reach is None else bias + reach,
    )


def _differences(predicted: Sequence[int], true: Sequence[int]) -> np.ndarray:
    if len(predicted) != len(true) or not len(true):
        raise ValueError(
            "Counts are compared photo by photo, for at least one photo. "
            f"Received {len(predicted)} predicted and {len(true)} true counts; give one of each."
        )
    return np.asarray(predicted, dtype=np.float64) - np.asarray(true, dtype=np.float64)
