"""From scores to what a photo's row says: how many lesions, between which limits, how severe."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from acnet.evaluation.count_model import CountModel
from acnet.evaluation.counting import hayashi_grade

DEFAULT_THRESHOLD = 0.5
TRAIT_PX = 128  # long side at which traits are measured, so that they are those of any resolution
PERCENTILES = (5, 25, 50, 75, 95)
BLURS_PX = (1, 2, 4, 8)
UNLIKE = "unlike the photos this was made on: no count is given"


@dataclass(frozen=True, kw_only=True)
class PhotoCount:
    """A photo's lesions.

    Args:
        count: How many there seem to be; None where a photo is not to be counted, as `note` says.
        low: Lowest true count that is likely, None without a count model.
        high: Highest, included.
        grade: Hayashi's severity, 0 (mild) to 3 (very severe), of `count`; None without a count
            model for inflammatory lesions on half of the face.
        counted: What is counted, as the count model says, such as "all lesions, whole face".
    """

    count: int | None
    low: int | None = None
    high: int | None = None
    grade: int | None = None
    counted: str | None = None
    note: str | None = None


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

    def may_count(self, traits: Sequence[float] | np.ndarray | None) -> bool:
        """Tell whether a photo with these traits is like those that the count model was made on."""
        domain = self.model and self.model.domain
        return not domain or traits is None or domain.has(np.asarray(traits))

    def __call__(
        self, scores: Iterable[float], traits: Sequence[float] | np.ndarray | None = None
    ) -> PhotoCount:
        """Count one photo by the scores of all its detections, if its traits allow it."""
        if not self.may_count(traits):
            return PhotoCount(count=None, note=UNLIKE)
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


def photo_traits(photo_bgr: np.ndarray) -> np.ndarray:
    """Measure colour and texture of a photo, by which one without skin is told from a face.

    NOT IN PAPER: the whole guard is ours. It looks at the photo alone, so that it is the same for
    every model and engine.

    Args:
        photo_bgr: (H, W, 3) uint8, of any size.

    Returns:
        (NUM_TRAITS,) float64: of brightness and the two chromas (Y, Cr, Cb) five percentiles, the
        logarithm of the spread, and those of the detail between one blur and the next.
    """
    height, width = photo_bgr.shape[:2]
    factor = TRAIT_PX / max(height, width)
    size_wh = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(photo_bgr, size_wh, interpolation=cv2.INTER_AREA)
    traits = []
    for channel in cv2.split(cv2.cvtColor(small, cv2.COLOR_BGR2YCrCb).astype(np.float32)):
        traits += [*np.percentile(channel, PERCENTILES), np.log(channel.std() + 1)]
        sharper = channel
        for blur_px in BLURS_PX:
            blurred = cv2.GaussianBlur(channel, (0, 0), blur_px)
            traits.append(np.log((sharper - blurred).std() + 0.5))
            sharper = blurred
    return np.array(traits, dtype=np.float64)
