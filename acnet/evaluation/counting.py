"""How many lesions were counted, against how many there are."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


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


def count_errors(predicted: Sequence[int], true: Sequence[int]) -> dict[str, float]:
    """Compare counts photo by photo.

    Args:
        predicted: Lesions found in each photo.
        true: Lesions in each photo.

    Returns:
        "MAE", the mean absolute error, "RMSE", its root mean square, and "bias", the mean of
        predicted minus true, all in lesions a photo.

    Raises:
        ValueError: There is no photo, or not one count of each kind for each.
    """
    if len(predicted) != len(true) or not len(true):
        raise ValueError(
            "Counts are compared photo by photo, for at least one photo. "
            f"Received {len(predicted)} predicted and {len(true)} true counts; give one of each."
        )
    errors = np.asarray(predicted, dtype=np.float64) - np.asarray(true, dtype=np.float64)
    return {
        "MAE": float(np.abs(errors).mean()),
        "RMSE": float(np.sqrt(np.square(errors).mean())),
        "bias": float(errors.mean()),
    }
