"""Shares of photos, with the sampling error that a finite number of them leaves."""

import bisect
import itertools
import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True, kw_only=True)
class Share:
    """A binomial share with Wilson's score interval.

    Args:
        hits: Photos for which it is so.
        total: Photos, at least 1.
        value: hits / total.
        low: Lower end of the interval.
        high: Upper end.
        level: Of the interval.
    """

    hits: int
    total: int
    value: float
    low: float
    high: float
    level: float


def share(hits: int, total: int, *, level: float = 0.95) -> Share:
    """Compute a share and Wilson's score interval, which holds at 0, at 1 and for few photos too.

    Args:
        hits: From 0 to `total`.
        total: At least 1.
        level: Of the interval, above 0 and below 1.

    Returns:
        The share and its interval, all from 0 to 1.

    Raises:
        ValueError: There is nothing to take a share of, or more hits than that.

    Reference:
        Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927;
        recommended by Brown, Cai and DasGupta, "Interval estimation for a binomial proportion",
        Statistical Science 2001.
    """
    if not 0 <= hits <= total or total < 1:
        raise ValueError(
            "A share is taken of at least one photo, and at most all are hits. "
            f"Received {hits} hits of {total}; count both on the same photos."
        )
    z = NormalDist().inv_cdf((1 + level) / 2)
    value = hits / total
    centre = (value + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(value * (1 - value) / total + z**2 / (4 * total**2))
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == total else min(1.0, centre + half)
    return Share(hits=hits, total=total, value=value, low=low, high=high, level=level)


def conformal_share_range(
    calibration: int, coverage: float, photos: int, *, level: float = 0.95
) -> tuple[float, float]:
    """Say how far the coverage of conformal intervals may lie from the one asked for, by chance.

    It has two sources: the photos that it is measured on are few, and so were those that set the
    quantile, the k-th smallest of n errors. Errors without ties give a coverage of all new photos
    that is Beta(k, n + 1 - k) distributed, and hits in m of them that are beta-binomial. Errors of
    counts have ties, which can only raise the coverage.

    Args:
        calibration: n, photos whose errors set the quantile.
        coverage: Asked for, above 0 and below 1.
        photos: m, photos on which the coverage is measured.
        level: Of the range.

    Returns:
        Lowest and highest share of hits to be expected.

    Reference:
        Vovk, "Conditional validity of inductive conformal predictors", ACML 2012; Angelopoulos and
        Bates, "A gentle introduction to conformal prediction", 2021, section 3.2.
    """
    rank = conformal_rank(calibration, coverage)
    hits = range(photos + 1)
    chances = [
        math.exp(
            math.lgamma(photos + 1)
            - math.lgamma(hit + 1)
            - math.lgamma(photos - hit + 1)
            + _log_beta(hit + rank, photos - hit + calibration + 1 - rank)
            - _log_beta(rank, calibration + 1 - rank)
        )
        for hit in hits
    ]
    up_to = list(itertools.accumulate(chances))
    low = bisect.bisect_left(up_to, (1 - level) / 2)
    high = min(bisect.bisect_left(up_to, (1 + level) / 2), photos)
    return low / photos, high / photos


def conformal_rank(calibration: int, coverage: float) -> int:
    """Return k: the k-th smallest of n errors is the conformal quantile, if k is at most n."""
    return math.ceil((calibration + 1) * coverage - 1e-9)  # 10 * 0.9 may be a little above 9


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
