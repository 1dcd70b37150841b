"""Bootstrap over photos: intervals of one model's numbers, and the paired comparison of two models.

Photos are drawn with replacement, as many as there are, since the lesions of one photo are not
independent of each other. A replicate is a re-weighting of the photos by how often each was drawn,
so nothing is matched or sorted again.

Intervals are percentile intervals: the middle share of the replicates. BCa, which corrects bias and
skewness, was tried on simulated photos (docs/lab/evaluation.md): it holds the true value a
little more often for AP and less often for grades. It needs one more evaluation a photo, and the
percentile interval is the same construction for one model and for the difference of two.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from acnet.files import progress_bar

SILENT_SECONDS = 2.0  # before a bar appears
LEAST_DEFINED = 0.9  # share of the replicates that an interval needs


# Numbers by key for (P,) int64, how often each photo counts; undefined ones are None or missing.
Statistic = Callable[[np.ndarray], Mapping[str, float | None]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Replicates:
    """Numbers on all photos and on resampled ones; NaN where undefined."""

    values: np.ndarray  # (M,)
    replicates: np.ndarray  # (R, M)


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
    photos are paired. `keys` are the numbers that are wanted; `progress` shows a bar on stderr
    where it takes more than two seconds.
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
    return Replicates(values=values, replicates=rows)


def percentile_interval(values: np.ndarray, level: float) -> tuple[float, float] | None:
    """Return the ends of the middle share of (R,) bootstrap values of one number.

    It is None where fewer than nine replicates in ten define the number, or there is none.

    Reference:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    defined = _defined(values)
    if defined is None:
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def two_sided_p(differences: np.ndarray) -> float | None:
    """Return the bootstrap p value of "there is no difference" of one number of two models.

    It is twice the share of (R,) differences on the rarer side of 0, those at 0 counted on both
    sides and the data themselves as one more replicate on either, so never 0 and at most 1: 1 minus
    the level of the percentile interval that just reaches 0. None where an interval would be None.

    Reference:
        Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 4.2 (the added
        one); Efron and Tibshirani 1993, section 15.4.
    """
    defined = _defined(differences)
    if defined is None:
        return None
    rarer = min((defined <= 0).sum(), (defined >= 0).sum())
    return float(min(1.0, 2 * (rarer + 1) / (len(defined) + 1)))


def _defined(values: np.ndarray) -> np.ndarray | None:
    defined = values[~np.isnan(values)]
    return defined if len(defined) and len(defined) >= LEAST_DEFINED * len(values) else None


def _row(numbers: Mapping[str, float | None], keys: Sequence[str]) -> np.ndarray:
    return np.array([numbers.get(key) for key in keys], dtype=np.float64)  # None becomes NaN
