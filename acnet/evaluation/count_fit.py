"""Fits a count model on validation photos: the threshold on one half, the interval on the other.

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

import math

import numpy as np

from acnet.errors import UserError
from acnet.evaluation.columns import Detections
from acnet.evaluation.count_model import CountModel, conformal_rank


def fit_count_model(
    true_counts: np.ndarray,
    detections: Detections,
    *,
    merge: str,
    coverage: float = 0.9,
    seed: int = 0,
) -> CountModel:
    """Fit threshold and interval on validation photos.

    Args:
        true_counts: (P,) lesions in each photo.
        detections: Of the P photos, all scores.
        merge: What merged the detections, such as "soft_nms-linear".
        coverage: Share of new photos whose true count the interval shall hold, above 0 and below 1.
        seed: Of the split into halves.

    Returns:
        The model.

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
    )


def fit_threshold(true_counts: np.ndarray, photo: np.ndarray, scores: np.ndarray) -> float:
    """Find the score threshold with the smallest mean absolute error of the counts.

    The minimum is exact: lowering the threshold past a detection adds one lesion to its photo,
    which brings the count nearer by 1 while it is below the truth, and takes it away by 1 from
    then on; so one cumulative sum over the sorted scores gives the error at every threshold.
    Thresholds between two neighbouring scores count the same. Of several best gaps the widest is
    taken, of equally wide ones the highest, and the threshold is its middle: the furthest from
    changing any count.

    Args:
        true_counts: (P,) lesions in each photo.
        photo: (D,) index of each detection's photo.
        scores: (D,) in any order.

    Returns:
        The threshold; a detection counts where its score is at least this.

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

    Args:
        errors: (n,) of photos that had no say in the model.
        coverage: Share of new photos that shall have at most this error.

    Returns:
        The quantile; for exchangeable photos the next error is at most this with a probability of
        at least `coverage`.

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
