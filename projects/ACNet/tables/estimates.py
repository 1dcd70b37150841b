"""Numbers of rows and their differences, with intervals over seeds and photos.

Two things would change a number: other photos of the same kind, and another seed. Each gets its own
interval, by the method that suits it:

- photos: the paired bootstrap of `acnet.evaluation.bootstrap`, on the mean over seeds; percentiles.
- seeds: Student's t. There are few seeds, but many rows, so the spread between seeds is pooled over
  the rows of a table, as in an analysis of variance: of a difference, what is left after each row
  has its mean and each seed its own, since a difference is taken within a seed.

The two are independent, so their half-widths add as squares (the method of variance estimates
recovery). A resampling of three seeds would be too narrow by a third.

Shape shorthand: R replicates.

Reference:
    Zou and Donner, "Construction of confidence limits about effect measures", Statistics in
    Medicine 2008.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from acnet.evaluation.bootstrap import percentile_interval

LEVEL = 0.95
Sample: TypeAlias = tuple[float, np.ndarray]  # a number on all photos, and (R,) on resampled ones
Samples: TypeAlias = Mapping[str, Mapping[int, Sample]]  # by row, then by seed


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number of one row, or of several weighted ones.

    Args:
        value: mean over the seeds, on all photos.
        low: lower end of the interval over photos and seeds; None where there is none.
        high: its upper end.
        photo_low: lower end of the interval over photos alone.
        photo_high: its upper end.
        seeds: how many seeds all of its rows have.
        over_seeds: the interval has the spread between seeds in it, for which two are needed.
    """

    value: float
    low: float | None
    high: float | None
    photo_low: float | None
    photo_high: float | None
    seeds: int
    over_seeds: bool

    @property
    def is_above_zero(self) -> bool:
        """The whole interval is above 0."""
        return self.low is not None and self.low > 0

    @property
    def is_below_zero(self) -> bool:
        """The whole interval is below 0."""
        return self.high is not None and self.high < 0


def estimate(samples: Samples, weights: Mapping[str, float]) -> Estimate | None:
    """Estimate a weighted sum of rows: one row, a gain, or a mean of several gains.

    Args:
        samples: of all rows whose spread between seeds is pooled.
        weights: of the rows that are summed.

    Returns:
        The estimate from the seeds that all these rows have; None where there is no such seed.
    """
    if not all(samples.get(row) for row in weights):
        return None
    seeds = sorted(set.intersection(*(set(samples[row]) for row in weights)))
    if not seeds:
        return None
    value = float(np.mean([_weighted(samples, weights, seed, 0) for seed in seeds]))
    resampled = np.mean([_weighted(samples, weights, seed, 1) for seed in seeds], axis=0)
    photos = percentile_interval(resampled, LEVEL)
    is_difference = math.isclose(sum(weights.values()), 0.0, abs_tol=1e-9)
    spread, freedom = seed_spread(samples, within_seeds=is_difference)
    half = 0.0
    if freedom:
        error = spread * math.sqrt(sum(weight**2 for weight in weights.values()) / len(seeds))
        half = student_t((1 + LEVEL) / 2, freedom) * error
    low = high = None
    if photos is not None:
        low = value - math.hypot(value - photos[0], half)
        high = value + math.hypot(photos[1] - value, half)
    return Estimate(
        value=value,
        low=low,
        high=high,
        photo_low=photos and photos[0],
        photo_high=photos and photos[1],
        seeds=len(seeds),
        over_seeds=freedom > 0,
    )


def seed_spread(samples: Samples, *, within_seeds: bool) -> tuple[float, int]:
    """Estimate the standard deviation from seed to seed, the same for all rows.

    Args:
        samples: of the rows.
        within_seeds: what a seed does to all rows alike is left out, as it is in a difference.

    Returns:
        The standard deviation and its degrees of freedom; 0 of both where no row has two seeds.
    """
    cells = [
        (row, seed, sample[0])
        for row, of_row in samples.items()
        for seed, sample in of_row.items()
        if len(of_row) > 1
    ]
    if not cells:
        return 0.0, 0
    design = [_indicators([row for row, _, _ in cells])]
    if within_seeds:
        design.append(_indicators([seed for _, seed, _ in cells]))
    effects = np.concatenate(design, axis=1)
    values = np.array([value for _, _, value in cells])
    fitted, _, rank, _ = np.linalg.lstsq(effects, values, rcond=None)
    freedom = len(cells) - int(rank)
    residuals = values - effects @ fitted
    return (float(math.sqrt(residuals @ residuals / freedom)), freedom) if freedom else (0.0, 0)


def student_t(probability: float, freedom: int) -> float:
    """Return a quantile of Student's t distribution.

    With t = sqrt(freedom) * tan(angle) its density in the angle is proportional to
    cos(angle)^(freedom - 1), which is summed up here.

    Args:
        probability: at least 0.5 and below 1.
        freedom: degrees of freedom, at least 1.

    Returns:
        The quantile, right to four digits.
    """
    angles = np.linspace(0, np.pi / 2, 100_001)
    density = np.cos(angles) ** (freedom - 1)
    steps = (density[1:] + density[:-1]) / 2
    up_to = np.concatenate([[0.0], np.cumsum(steps)])
    angle = np.interp(2 * probability - 1, up_to / up_to[-1], angles)
    return float(math.sqrt(freedom) * np.tan(angle))


def _weighted(
    samples: Samples, weights: Mapping[str, float], seed: int, part: int
) -> float | np.ndarray:
    return sum(weight * samples[row][seed][part] for row, weight in weights.items())


def _indicators(names: Sequence[str | int]) -> np.ndarray:
    """Return (number of names, number of different ones), 1 where a name is that one."""
    order = sorted(set(names))
    return (np.array(names)[:, None] == np.array(order)).astype(float)
