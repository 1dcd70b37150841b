"""Fits a count model on validation photos, and says by which shares its intervals are judged.

The threshold is fitted on one half of the photos, the interval on the other.

The halves must differ. A threshold is chosen because it counts its own photos well, so the errors
there are too small, and an interval made from them would hold fewer new photos than it says. On
photos that had no say the errors are those of new photos, and split conformal prediction holds
without any assumption but one: new photos come from where the validation photos come from.

NOT IN PAPER: the paper counts nothing. The error of a count is measured in units of
sqrt(counted + 1), the spread of a Poisson count, because a photo with 60 lesions is miscounted by
more than one with 3; an interval of one width for all would be too wide for the many sparse photos
and too narrow for the dense ones.

Shape shorthand in this module:
    P: number of photos
    D: number of detections
"""

import bisect
import dataclasses
import itertools
import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from acnet.errors import UserError
from acnet.evaluation.columns import Detections
from acnet.evaluation.count_model import UNKNOWN, CountModel, Domain, conformal_rank

LEAST_SCALE = 1e-3  # of a trait, in units of its mean
DOMAIN_FOLDS = 10


def fit_count_model(
    true_counts: np.ndarray,
    detections: Detections,
    *,
    merge: str,
    coverage: float = 0.9,
    seed: int = 0,
    view: str = UNKNOWN,
    lesions: str = UNKNOWN,
) -> CountModel:
    """Fit threshold and interval on validation photos.

    Args:
        true_counts: (P,) lesions in each photo.
        detections: Of the P photos, all scores.
        merge: What merged the detections, such as "soft_nms-linear".
        coverage: Share of new photos whose true count the interval shall hold, above 0 and below 1.
        seed: Of the split into halves.
        view: What the photos show; see `count_model.VIEWS`.
        lesions: Which lesions count; see `count_model.LESIONS`.

    Raises:
        UserError: There are too few photos for the coverage, or no detections.
    """
    num_photos = len(true_counts)
    order = np.random.default_rng(seed).permutation(num_photos)
    in_fit = np.zeros(num_photos, dtype=bool)
    in_fit[order[: num_photos // 2]] = True
    _check_size(num_photos, num_photos - int(in_fit.sum()), coverage)
    chosen = in_fit[detections.photo]
    threshold = fit_threshold(
        np.where(in_fit, true_counts, 0), detections.photo[chosen], detections.scores[chosen]
    )
    counts = detections.counts(num_photos, score_threshold=threshold)
    errors = np.abs(counts - true_counts)
    relative = errors[~in_fit] / np.sqrt(counts[~in_fit] + 1)
    return CountModel(
        merge=merge,
        threshold=threshold,
        coverage=coverage,
        quantile=conformal_quantile(relative, coverage),
        fit_photos=int(in_fit.sum()),
        interval_photos=int((~in_fit).sum()),
        fit_mae=float(errors[in_fit].mean()),
        interval_mae=float(errors[~in_fit].mean()),
        seed=seed,
        view=view,
        lesions=lesions,
    )


def fit_threshold(true_counts: np.ndarray, photo: np.ndarray, scores: np.ndarray) -> float:
    """Find the score threshold with the smallest mean absolute error of the counts.

    The minimum is exact: lowering the threshold past a detection adds one lesion to its photo,
    which brings the count nearer by 1 while it is below the truth, and takes it away by 1 from
    then on; so one cumulative sum over the sorted scores gives the error at every threshold.
    Thresholds between two neighbouring scores count the same. Of several best gaps the widest is
    taken, of equally wide ones the highest, and the threshold is its middle: the furthest from
    changing any count.

    (P,) true counts; (D,) photos and scores in any order. A detection counts where its score is at
    least the threshold.

    Raises:
        UserError: There is no detection.
    """
    if not len(scores):
        raise UserError(
            "A threshold is fitted to the scores of detections, and there is none. Received "
            "predictions without a detection in the photos to fit on; predict them with a lower "
            "score floor, or with trained weights."
        )
    order = np.argsort(-scores, kind="stable")
    photo, scores = photo[order], scores[order]
    change = np.where(_place_in_photo(photo) < true_counts[photo], -1, 1)
    errors = true_counts.sum() + np.concatenate([[0], np.cumsum(change)])  # of the k best scores
    upper = np.concatenate([[scores[0] + 1], scores])  # the k-th best still counts
    lower = np.concatenate([scores, [scores[-1] - 1]])  # the next one does not
    possible = upper > lower  # no threshold lies between equal scores
    # Counting none, or all, leaves the gap open to one side; it then ends at the score itself.
    width = np.concatenate([[0], scores[:-1] - scores[1:], [0]])
    best = possible & (errors == errors[possible].min())
    gap = int(np.argmax(np.where(best, width, -1)))
    if gap == 0:
        return float(np.nextafter(scores[0], np.inf))
    if gap == len(scores):
        return float(scores[-1])
    middle = (upper[gap] + lower[gap]) / 2
    return float(middle if middle > lower[gap] else upper[gap])


def conformal_quantile(errors: np.ndarray, coverage: float) -> float:
    """Return the ceil((n + 1) * coverage)-th smallest of n errors.

    For exchangeable photos the error of a next one is at most this with a probability of at least
    `coverage`, if the n photos had no say in the model.

    Raises:
        UserError: The rank would be above n.

    Reference:
        Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005; Lei et al.,
        "Distribution-free predictive inference for regression", JASA 2018, section 2.2.
    """
    rank = conformal_rank(len(errors), coverage)
    if rank > len(errors):
        _check_size(len(errors), len(errors), coverage)
    return float(np.sort(errors)[rank - 1])


def fit_domain(traits: np.ndarray, *, share_inside: float = 0.95) -> Domain:
    """Learn what the validation photos look like, and how far other photos may be from that.

    Copies of a photo and photos of one person stand beside each other where photos are in the order
    of their names, and resemble each other more than new photos do. So a photo's distance is taken
    from the photos outside its own tenth of that order, and the limit is a conformal quantile of
    these distances.

    Args:
        traits: (P, T) of `acnet.photos.results.photo_traits`, in the order of the photos' names.
        share_inside: Of new photos like these, how many shall be inside the limit.

    Raises:
        UserError: There are too few photos.
    """
    num_photos = len(traits)
    if num_photos < least_photos(share_inside):
        raise UserError(
            f"What photos look like is learnt from at least {least_photos(share_inside)} of them. "
            f"Received {num_photos}; leave --image-root out, so that every photo is counted."
        )
    folds = np.array_split(np.arange(num_photos), DOMAIN_FOLDS)
    distances = [
        _domain_of(np.delete(traits, fold, axis=0)).distances(traits[fold]) for fold in folds
    ]
    limit = conformal_quantile(np.concatenate(distances), share_inside)
    return dataclasses.replace(_domain_of(traits), limit=limit)


def _domain_of(traits: np.ndarray) -> Domain:
    mean = traits.mean(axis=0)
    floor = LEAST_SCALE * (1 + np.abs(mean))  # where all photos have the same trait
    scale = np.maximum(traits.std(axis=0), floor)
    return Domain(mean=tuple(mean.tolist()), scale=tuple(scale.tolist()), limit=math.inf)


def least_photos(coverage: float) -> int:
    """Return the fewest photos whose errors can bound those of a share `coverage` of new ones."""
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def _place_in_photo(photo: np.ndarray) -> np.ndarray:
    """Return how many rows of the same photo come before each row."""
    by_photo = np.argsort(photo, kind="stable")
    grouped = photo[by_photo]
    starts = np.searchsorted(grouped, grouped, side="left")
    places = np.empty(len(photo), dtype=np.int64)
    places[by_photo] = np.arange(len(photo)) - starts
    return places


def _check_size(photos: int, interval_photos: int, coverage: float) -> None:
    needed = least_photos(coverage)
    if interval_photos < needed or photos < 2:
        raise UserError(
            f"An interval that holds {coverage:.0%} of the true counts needs the errors of at "
            f"least {needed} photos, besides the half that chooses the threshold. Received "
            f"{photos} photos, {interval_photos} of them for the interval; give at least "
            f"{max(2 * needed - 1, 2)} validation photos, or a lower coverage."
        )


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


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
