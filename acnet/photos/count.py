"""From scores to what a photo's row says: how many lesions, between which limits, how severe."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from acnet.evaluation.count_model import CountModel
from acnet.evaluation.counting import hayashi_grade

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, kw_only=True)
class PhotoCount:
    """A photo's lesions.

    Args:
        count: How many there seem to be.
        low: Lowest true count that is likely, None without a count model.
        high: Highest, included.
        grade: Hayashi's severity, 0 (mild) to 3 (very severe), of `count`; None without a count
            model for inflammatory lesions on half of the face.
        counted: What is counted, as the count model says, such as "all lesions, whole face".
    """

    count: int
    low: int | None = None
    high: int | None = None
    grade: int | None = None
    counted: str | None = None


@dataclass(frozen=True, kw_only=True)
class CountRule:
    """Which detections count.

    Interval and grade need a threshold that was fitted: with any other one, counts may be wrong by
    a factor, and a grade would claim more than is known.

    Args:
        threshold: Lowest score that counts, and is drawn.
        model: That fitted the threshold and knows the interval, or None.

    Example:
        >>> CountRule(threshold=0.5)([0.9, 0.5, 0.1]).count
        2
    """

    threshold: float = DEFAULT_THRESHOLD
    model: CountModel | None = None

    def with_probabilities(self, rows: Sequence[Mapping[str, Any]]) -> list[dict]:
        """Say beside each score with which probability a lesion is there, if that was fitted."""
        score_map = self.model and self.model.probability
        if not score_map or not rows:
            return [dict(row) for row in rows]
        values = score_map(np.array([row["score"] for row in rows])).round(4).tolist()
        return [{**row, "probability": value} for row, value in zip(rows, values, strict=True)]

    def __call__(self, scores: Iterable[float]) -> PhotoCount:
        """Count one photo by the scores of all its detections."""
        count = sum(score >= self.threshold for score in scores)
        if self.model is None:
            return PhotoCount(count=count)
        low, high = self.model.interval(np.array([count]))
        return PhotoCount(
            count=count,
            low=int(low[0]),
            high=int(high[0]),
            grade=hayashi_grade(count) if self.model.has_grade else None,
            counted=self.model.counted,
        )
