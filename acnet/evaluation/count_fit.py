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

Shape shorthand: P photos, D detections, T traits.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from acnet.errors import UserError
from acnet.evaluation.columns import Detections, place_in_group
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
    """Fit threshold and interval on validation photos, which the seed splits into halves.

    Args:
        true_counts: (P,) lesions in each photo.
        detections: Of the P photos, all scores.
        merge, view, lesions: What the model shall say of these; see `CountModel`.
        coverage: Share of new photos whose true count the interval shall hold, above 0 and below 1.

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
    change = np.where(place_in_group(photo) < true_counts[photo], -1, 1)
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
    these distances: of new photos like these, a share `share_inside` shall be inside it. The (P, T)
    traits are those of `acnet.photos.results.photo_traits`, in the order of the photos' names.

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
    """A binomial share of photos, 0 to 1, and the ends of Wilson's score interval of that level."""

    hits: int
    total: int
    value: float
    low: float
    high: float
    level: float


def share(hits: int, total: int, *, level: float = 0.95) -> Share:
    """Compute a share and Wilson's score interval, which holds at 0, at 1 and for few photos too.

    Reference:
        Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927;
        recommended by Brown, Cai and DasGupta, "Interval estimation for a binomial proportion",
        Statistical Science 2001.
    """
    from scipy.stats import binomtest  # slow to import, and needed for counts alone

    low, high = binomtest(hits, total).proportion_ci(level, method="wilson")
    return Share(
        hits=hits, total=total, value=hits / total, low=float(low), high=float(high), level=level
    )


def conformal_share_range(
    calibration: int, coverage: float, photos: int, *, level: float = 0.95
) -> tuple[float, float]:
    """Return the lowest and highest coverage, 0 to 1, that conformal intervals have by chance.

    Chance has two sources: the m `photos` that coverage is measured on are few, and so were the n
    of the `calibration`, whose k-th smallest error is the quantile. Errors without ties give a
    coverage of all new photos that is Beta(k, n + 1 - k) distributed, and hits in m of them that
    are beta-binomial. Errors of counts have ties, which can only raise the coverage.

    Reference:
        Vovk, "Conditional validity of inductive conformal predictors", ACML 2012; Angelopoulos and
        Bates, "A gentle introduction to conformal prediction", 2021, section 3.2.
    """
    from scipy.stats import betabinom

    rank = conformal_rank(calibration, coverage)
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = betabinom.ppf(ends, photos, rank, calibration + 1 - rank) / photos
    return float(low), float(high)
