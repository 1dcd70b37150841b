"""Bootstrap over photos: intervals of one model's numbers, and the paired comparison of two models.

Photos are drawn with replacement, as many as there are, since the lesions of one photo are not
independent of each other. A replicate is a re-weighting of the photos by how often each was drawn,
so nothing is matched or sorted again.

Intervals are percentile intervals: the middle share of the replicates. BCa, which corrects bias and
skewness, was tried on simulated photos (docs/lab/evaluation.md): it holds the true value a
little more often for AP and less often for grades. It needs one more evaluation a photo, and the
percentile interval is the same construction for one model and for the difference of two.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from acnet.evaluation.columns import Detections, GroundTruth
from acnet.evaluation.count_model import CountModel
from acnet.evaluation.headline import Headline, Number, match_once
from acnet.evaluation.matches import Matches
from acnet.evaluation.result import SCHEMA_VERSION, EvaluationOptions
from acnet.files import progress_bar

SILENT_SECONDS = 2.0  # before a bar appears
LEAST_DEFINED = 0.9  # share of the replicates that an interval needs


class Statistic(Protocol):
    """Numbers of an evaluation, as a function of how often each photo counts."""

    def __call__(self, photo_weights: np.ndarray) -> Mapping[str, float | None]:
        """Compute the numbers.

        Args:
            photo_weights: (P,) int64, at least 0.

        Returns:
            Numbers by key; a number that is undefined for these photos is None or missing.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class Replicates:
    """A set of numbers on all photos and on resampled ones; R replicates of M numbers.

    Args:
        keys: M names.
        values: (M,) on all photos; NaN where undefined.
        replicates: (R, M) on resampled photos; NaN where undefined.
    """

    keys: tuple[str, ...]
    values: np.ndarray
    replicates: np.ndarray


def bootstrap(
    statistic: Statistic,
    keys: Sequence[str],
    num_photos: int,
    *,
    replicates: int = 1000,
    seed: int = 0,
    progress: bool = False,
) -> Replicates:
    """Compute numbers on all photos and on resampled ones.

    The same seed and number of photos draw the same photos, so two calls for two models on the same
    photos are paired.

    Args:
        statistic: What to compute.
        keys: Which of its numbers are wanted.
        num_photos: P, at least 1.
        replicates: R; 0 for none.
        seed: Of the drawing.
        progress: Show a bar on stderr where it takes more than two seconds.

    Returns:
        The numbers.
    """
    rng = np.random.default_rng(seed)
    values = _row(statistic(np.ones(num_photos, dtype=np.int64)), keys)
    rows = np.empty((replicates, len(keys)))
    for index in progress_bar(
        range(replicates),
        desc="bootstrap",
        unit="replicate",
        delay=SILENT_SECONDS,
        disable=not progress,
    ):
        drawn = rng.integers(num_photos, size=num_photos)
        rows[index] = _row(statistic(np.bincount(drawn, minlength=num_photos)), keys)
    return Replicates(keys=tuple(keys), values=values, replicates=rows)


def resample(headline: Headline, matches: Matches, options: EvaluationOptions) -> Replicates:
    """Compute the headline numbers, in their order, on all photos and on resampled ones."""
    return bootstrap(
        headline,
        headline.keys,
        matches.ground_truth.num_photos,
        replicates=options.replicates,
        seed=options.seed,
        progress=options.progress,
    )


def percentile_interval(values: np.ndarray, level: float) -> tuple[float, float] | None:
    """Return the middle share of bootstrap values.

    Args:
        values: (R,) of one number; NaN where a replicate does not define it.
        level: Of the interval, such as 0.95.

    Returns:
        Its ends; None where fewer than nine replicates in ten define the number, or there is none.

    Reference:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    defined = values[~np.isnan(values)]
    if not len(defined) or len(defined) < LEAST_DEFINED * len(values):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def two_sided_p(differences: np.ndarray) -> float | None:
    """Return the bootstrap p value of "there is no difference".

    Args:
        differences: (R,) of one number of two models on the same resampled photos; NaN where a
            replicate does not define it.

    Returns:
        Twice the share of replicates on the rarer side of 0, those at 0 counted on both sides and
        the data themselves as one more replicate on either, so never 0 and at most 1: 1 minus the
        level of the percentile interval that just reaches 0. None where an interval would be None.

    Reference:
        Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 4.2 (the added
        one); Efron and Tibshirani 1993, section 15.4.
    """
    defined = differences[~np.isnan(differences)]
    if not len(defined) or len(defined) < LEAST_DEFINED * len(differences):
        return None
    rarer = min((defined <= 0).sum(), (defined >= 0).sum())
    return float(min(1.0, 2 * (rarer + 1) / (len(defined) + 1)))


def _row(numbers: Mapping[str, float | None], keys: Sequence[str]) -> np.ndarray:
    return np.array([numbers.get(key) for key in keys], dtype=np.float64)  # None becomes NaN


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One number of two models; None where it is undefined.

    Args:
        key: Its name.
        group: "detection", "FROC", "counts", "grades" or "calibration".
        unit: "%", "lesions" or "".
        better: "higher", "lower" or "zero" (a bias).
        a: Of model A on all photos.
        b: Of model B.
        difference: b - a.
        low: Lower end of its interval.
        high: Upper end.
        p: Two-sided bootstrap p value of "no difference", of this number alone: where many are
            looked at, some are small by chance.
    """

    key: str
    group: str
    unit: str
    better: str
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None


def compare(
    ground_truth: GroundTruth,
    detections_a: Detections,
    detections_b: Detections,
    *,
    count_models: tuple[CountModel, CountModel] | None = None,
    options: EvaluationOptions | None = None,
) -> tuple[Difference, ...]:
    """Compare two models by their headline numbers.

    Each replicate draws photos once and computes both models on them, so what is hard or easy about
    a photo cancels, and far smaller differences show than two separate intervals could tell apart.

    Args:
        ground_truth: Of all photos.
        detections_a: Of model A.
        detections_b: Of model B, on the same photos.
        count_models: Of A and of B, each fitted to its own model; None leaves counts and grades
            out.
        options: By default those of `EvaluationOptions`.

    Returns:
        One difference a headline number, in the order of the table.

    Raises:
        UserError: There is no photo, or one holds more lesions than the cap on detections.
    """
    options = options or EvaluationOptions()
    models = count_models or (None, None)
    numbers, resampled = (), []
    for detections, count_model in zip((detections_a, detections_b), models, strict=True):
        matches = match_once(ground_truth, detections, options)
        headline = Headline(matches, count_model=count_model, bins=options.bins)
        numbers = headline.numbers  # the same for both
        resampled.append(resample(headline, matches, options))  # by the same seed: paired
    a, b = resampled
    spread = b.replicates - a.replicates
    return tuple(
        _difference(number, a.values[index], b.values[index], spread[:, index], options.level)
        for index, number in enumerate(numbers)
    )


def comparison_json(
    rows: Sequence[Difference], ground_truth: GroundTruth, options: EvaluationOptions
) -> dict[str, Any]:
    """Return a comparison as plain JSON types; what is undefined is null.

    Args:
        rows: Of `compare`.
        ground_truth: That it was called with.
        options: That it was called with.

    Returns:
        The rows, and what they were computed from.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "photos": ground_truth.num_photos,
        "max_detections": options.max_detections,
        "replicates": options.replicates,
        "seed": options.seed,
        "level": options.level,
        "differences": [dataclasses.asdict(row) for row in rows],
    }


def _difference(
    number: Number, a: float, b: float, replicates: np.ndarray, level: float
) -> Difference:
    """Compare one number, where NaN stands for undefined, with (R,) differences resampled."""
    defined = not np.isnan(b - a)
    low, high = (defined and percentile_interval(replicates, level)) or (None, None)
    return Difference(
        key=number.key,
        group=number.group,
        unit=number.unit,
        better=number.better,
        a=None if np.isnan(a) else float(a),
        b=None if np.isnan(b) else float(b),
        difference=float(b - a) if defined else None,
        low=low,
        high=high,
        p=two_sided_p(replicates) if defined else None,
    )
