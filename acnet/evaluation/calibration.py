"""Whether scores mean what they say: of detections with score 0.7, are 70 % right?

A detection is right where it matches a lesion at IoU 0.5 in the one match of the evaluation, so a
second detection of the same lesion is wrong. Detections that only meet a crowd are neither, and
left out.

`fit_score_map` makes scores mean it: a monotone map of them, so that AP stays what it is.

Shape shorthand: P photos, N detections that are right or wrong, B bins.
"""

from dataclasses import dataclass

import numpy as np

from acnet.evaluation.count_model import ScoreMap
from acnet.evaluation.matching import Matches

CORRECT_IOU = 0.5
PERCENT = 100.0
FOLDS = 5
POOLED = 50  # detections whose share of right ones is one point of the isotonic fit
KNOTS = 64  # of a curve that is stored as a line through points
LEAST_ODDS = 1e-6  # scores are kept so far from 0 and 1, where their logit is infinite


@dataclass(frozen=True, kw_only=True)
class Bins:
    """Detections by score, without the bins that have none."""

    edges: np.ndarray  # (B, 2) lowest and highest score of the bin; of equal widths, its limits
    counts: np.ndarray  # (B,) detections
    mean_scores: np.ndarray  # (B,)
    precisions: np.ndarray  # (B,) share of them that is right
    ece: float | None  # expected calibration error in percent; None where there is no detection


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Reliability of scores at IoU 0.5."""

    equal_width: Bins  # on 0 to 1, those of the reliability plot
    equal_mass: Bins  # equally many detections each, as far as ties allow


class ScoreBins:
    """Detections sorted into bins of score once, to be summed for any weights of the photos.

    (N,) photos, scores from 0 to 1 and bools; (B, 2) rising edges, between which every score lies.
    """

    def __init__(
        self,
        photo: np.ndarray,
        scores: np.ndarray,
        right: np.ndarray,
        edges: np.ndarray,
        num_photos: int,
    ):
        self.edges = edges
        num_bins = len(edges)
        # A score on the common edge of two bins belongs to the upper one.
        index = np.searchsorted(edges[1:, 0], scores, side="right")
        cells = photo.astype(np.int64) * num_bins + index
        self._sums = np.stack(
            [
                np.bincount(cells, weights=values, minlength=num_photos * num_bins)
                for values in (np.ones(len(scores)), scores, right.astype(np.float64))
            ]
        ).reshape(3, num_photos, num_bins)

    def ece(self, photo_weights: np.ndarray) -> float | None:
        """Compute the expected calibration error in percent; None where no detection counts.

        It is the sum over bins of (share of detections) * |precision - mean score|.

        Reference:
            Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning", AAAI
            2015; Guo et al., "On calibration of modern neural networks", ICML 2017, Eq. (3).
        """
        counts, scores, right = np.einsum("p,kpb->kb", photo_weights, self._sums)
        # n_b / N * |right_b / n_b - scores_b / n_b| = |right_b - scores_b| / N
        total = counts.sum()
        return float(PERCENT * np.abs(right - scores).sum() / total) if total else None

    def bins(self) -> Bins:
        """Return the bins of the unweighted photos, without the empty ones."""
        counts, scores, right = self._sums.sum(axis=1)
        filled = counts > 0
        counts = counts[filled]
        return Bins(
            edges=self.edges[filled],
            counts=counts.astype(np.int64),
            mean_scores=scores[filled] / counts,
            precisions=right[filled] / counts,
            ece=self.ece(np.ones(self._sums.shape[1])),
        )


def equal_width_edges(bins: int) -> np.ndarray:
    """Return (bins, 2) limits of bins of equal width on 0 to 1."""
    limits = np.linspace(0, 1, bins + 1)
    return np.stack([limits[:-1], limits[1:]], axis=1)


def equal_mass_edges(scores: np.ndarray, bins: int) -> np.ndarray:
    """Return (B, 2) limits between which equally many of (N,) scores lie, B at most `bins`.

    Equal scores stay in one bin, so that the order of ties decides nothing; where many are equal
    there are fewer bins.

    Reference:
        Nguyen and O'Connor, "Posterior calibration and exploratory analysis for natural language
        processing models", EMNLP 2015; less biased than equal widths: Roelofs et al., "Mitigating
        bias in calibration error estimation", AISTATS 2022.
    """
    if not len(scores):
        return np.empty((0, 2))
    ranked = np.sort(scores)
    starts = np.unique(ranked[np.arange(bins) * len(ranked) // bins])
    lasts = np.append(np.searchsorted(ranked, starts[1:], side="left"), len(ranked)) - 1
    return np.stack([starts, ranked[lasts]], axis=1)


def score_bins(matches: Matches, *, bins: int) -> dict[str, ScoreBins]:
    """Sort the detections that are right or wrong into bins of two kinds.

    They are "ECE", of equal width on 0 to 1, and "ECE equal mass".
    """
    columns = _right_or_wrong(matches)
    edges = {"ECE": equal_width_edges(bins), "ECE equal mass": equal_mass_edges(columns[1], bins)}
    num_photos = matches.ground_truth.num_photos
    return {name: ScoreBins(*columns, limits, num_photos) for name, limits in edges.items()}


def _right_or_wrong(matches: Matches) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (N,) photo, score and bool of the detections that are right or wrong."""
    counts = (matches.rank < matches.caps[-1]) & ~matches.ignored(iou=CORRECT_IOU)
    right = matches.matched(iou=CORRECT_IOU)[counts]
    return matches.detections.photo[counts], matches.detections.scores[counts], right


def calibration(matches: Matches, *, bins: int = 10) -> Calibration:
    """Compare scores with the share of detections that is right at IoU 0.5."""
    binned = score_bins(matches, bins=bins)
    return Calibration(equal_width=binned["ECE"].bins(), equal_mass=binned["ECE equal mass"].bins())


@dataclass(frozen=True, kw_only=True)
class ScoreFit:
    """A map from scores to probabilities, and what it is worth on photos that had no say in it.

    Errors are expected calibration errors in percent, raw ones those of the scores themselves;
    counted ones are of the detections with a score of at least the threshold.
    """

    score_map: ScoreMap  # fitted on all photos
    ece: float  # each photo mapped by a fit on other photos
    raw_ece: float
    counted_ece: float
    raw_counted_ece: float


def fit_score_map(matches: Matches, *, threshold: float = 0.0, seed: int = 0) -> ScoreFit:
    """Fit what scores mean: isotonic regression or Platt's sigmoid, whichever predicts better.

    The choice is that of the smaller Brier score in a cross-validation over the validation photos,
    whose folds the seed chooses; there has to be a detection. Detections count from the threshold.

    Reference:
        Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability
        estimates", KDD 2002; Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    photo, scores, right = _right_or_wrong(matches)
    order = np.random.default_rng(seed).permutation(matches.ground_truth.num_photos)
    fold = order[photo] % FOLDS
    by_others = {}
    for fit in (_isotonic, _platt):
        by_others[fit] = np.zeros(len(scores))
        for index in np.unique(fold):
            here = fold == index
            if not here.all():
                by_others[fit][here] = fit(scores[~here], right[~here])(scores[here])
    best = min(by_others, key=lambda fit: np.square(by_others[fit] - right).mean())
    counted = scores >= threshold
    mapped = by_others[best]
    return ScoreFit(
        score_map=best(scores, right),
        ece=_ece(mapped, right),
        raw_ece=_ece(scores, right),
        counted_ece=_ece(mapped[counted], right[counted]),
        raw_counted_ece=_ece(scores[counted], right[counted]),
    )


def _ece(values: np.ndarray, right: np.ndarray) -> float:
    photo = np.zeros(len(values), dtype=np.int64)
    bins = ScoreBins(photo, values, right, equal_width_edges(10), 1)
    return bins.ece(np.ones(1)) or 0.0


def _isotonic(scores: np.ndarray, right: np.ndarray) -> ScoreMap:
    """Pool neighbouring detections, and then neighbouring pools whose shares fall."""
    from scipy.optimize import isotonic_regression

    order = np.argsort(scores, kind="stable")
    pools = np.array_split(order, max(1, len(order) // POOLED))
    sizes = np.array([len(pool) for pool in pools])
    means = np.array([scores[pool].mean() for pool in pools])
    shares = isotonic_regression([right[pool].mean() for pool in pools], weights=sizes).x
    levels, index = np.unique(shares, return_inverse=True)
    places = np.bincount(index, means * sizes) / np.bincount(index, sizes)
    return _score_map("isotonic", places, levels)


def _platt(scores: np.ndarray, right: np.ndarray) -> ScoreMap:
    """Fit right = sigmoid(a logit(score) + b), a at least 0, by maximum likelihood."""
    from scipy.optimize import minimize
    from scipy.special import expit, logit

    logits = logit(np.clip(scores.astype(np.float64), LEAST_ODDS, 1 - LEAST_ODDS))

    def loss(factors: np.ndarray) -> float:
        values = factors[0] * logits + factors[1]
        return float((np.logaddexp(0, values) - right * values).mean())

    slope, shift = minimize(loss, [1.0, 0.0], bounds=[(0, 20), (-50, 50)]).x
    knots = np.linspace(logits.min(), logits.max(), KNOTS)
    return _score_map("Platt", expit(knots), expit(slope * knots + shift))


def _score_map(method: str, scores: np.ndarray, shares: np.ndarray) -> ScoreMap:
    """Make the map, without points whose scores are equal."""
    scores, first = np.unique(scores, return_index=True)
    shares = np.clip(shares[first], 0, 1)
    return ScoreMap(method=method, scores=tuple(scores.tolist()), shares=tuple(shares.tolist()))
