"""From scores to what a photo's row says: how many lesions, between which limits, how severe."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from acnet.data.grade import hayashi_grade
from acnet.errors import UserError
from acnet.evaluation.count_model import CountModel


@dataclass(frozen=True, kw_only=True)
class PhotoCount:
    """A photo's lesions.

    Args:
        count: How many there seem to be.
        low: Lowest true count that is likely, None without a count model.
        high: Highest, included.
        grade: Hayashi's severity, 0 (mild) to 3 (very severe), of `count`.
    """

    count: int
    low: int | None = None
    high: int | None = None
    grade: int | None = None


@dataclass(frozen=True, kw_only=True)
class CountRule:
    """Which detections count.

    Interval and grade need a threshold that was fitted: with any other one, counts may be wrong by
    a factor, and a grade would claim more than is known.

    Args:
        threshold: Lowest score that counts, and is drawn.
        model: That fitted the threshold and knows the interval, or None.
    """

    threshold: float
    model: CountModel | None = None

    def __call__(self, scores: Iterable[float]) -> PhotoCount:
        """Count one photo.

        Args:
            scores: Of all its detections.
        """
        count = sum(score >= self.threshold for score in scores)
        if self.model is None:
            return PhotoCount(count=count)
        low, high = self.model.interval(np.array([count]))
        return PhotoCount(
            count=count, low=int(low[0]), high=int(high[0]), grade=hayashi_grade(count)
        )


def check_merge(model: CountModel, merge_name: str, *, source: str) -> None:
    """Refuse a count model whose threshold belongs to other scores.

    Args:
        model: To be used.
        merge_name: What merges the detections of this prediction, such as "soft_nms-linear".
        source: Where the model comes from, for the error.

    Raises:
        UserError: The two differ.
    """
    if model.merge != merge_name:
        raise UserError(
            "A count model's threshold was fitted to scores of one way of merging detections, and "
            f"means nothing for another. Received {source}, fitted to {model.merge!r}, where "
            f"{merge_name!r} merges. Choose the same merging, or fit another count model by "
            "`acnet calibrate`."
        )
