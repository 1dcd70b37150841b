"""A share of photos, with the sampling error that a finite number of them leaves."""

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
