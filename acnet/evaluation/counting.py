"""Counts and severity grades of photos against the true ones, as the LDL paper compares them.

Shape shorthand: P photos; G = 4 Hayashi grades.

Each measure of grades is a mean over grades, each grade against the rest. NOT IN PAPER: what
happens to a grade that is missing, which is common in small sets and in bootstrap replicates. A
grade that no photo truly has is left out of the means, as in the LDL paper's own program; a grade
that is there and never predicted has precision 0 (that program divides by zero); with a single true
grade there is no rest, so specificity and Youden index are undefined (None), and never a NaN.
"""

import bisect
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Largest count of the grades mild, moderate and severe; more is very severe. Hayashi et al.,
# "Establishment of grading criteria for acne severity", J. Dermatol. 35, 255-260, 2008, derived
# them for inflammatory eruptions (papules and pustules) of half of the face, without comedones.
HAYASHI_LIMITS = (5, 20, 50)
GRADE_NAMES = ("mild", "moderate", "severe", "very severe")
NUM_GRADES = len(GRADE_NAMES)
LIMITS_OF_AGREEMENT = 1.96  # standard deviations; Bland and Altman's figure
PERCENT = 100.0
# (k - l)^2: quadratic disagreement between grades; its scale cancels in kappa.
_DISAGREEMENT = np.square(np.subtract.outer(np.arange(NUM_GRADES), np.arange(NUM_GRADES)))


def count_by_image(
    rows: Iterable[Mapping], image_ids: Sequence[int], *, score_threshold: float = 0.0
) -> list[int]:
    """Count COCO annotations or results of each image, in the order of `image_ids`.

    Rows of other images and those with a score below the threshold do not count.
    """
    counts = Counter(
        row["image_id"] for row in rows if "score" not in row or row["score"] >= score_threshold
    )
    return [counts[image_id] for image_id in image_ids]


def count_errors(
    predicted: Sequence[int], true: Sequence[int], *, photo_weights: np.ndarray | None = None
) -> dict[str, float]:
    """Compare (P,) counts, each photo weighted by how often it counts.

    "MAE" is the mean absolute error, "RMSE" its root mean square, and "bias" the mean of predicted
    minus true, all in lesions a photo.
    """
    errors = _differences(predicted, true)
    return {
        "MAE": float(np.average(np.abs(errors), weights=photo_weights)),
        "RMSE": float(np.sqrt(np.average(np.square(errors), weights=photo_weights))),
        "bias": float(np.average(errors, weights=photo_weights)),
    }


@dataclass(frozen=True, kw_only=True)
class BlandAltman:
    """Agreement of two counts: their differences over their means, in lesions."""

    means: np.ndarray  # (P,) of the predicted and the true count of each photo
    differences: np.ndarray  # (P,) predicted minus true
    bias: float  # mean difference
    low: float | None  # limit of agreement, bias - 1.96 standard deviations; None for one photo
    high: float | None


def bland_altman(predicted: Sequence[int], true: Sequence[int]) -> BlandAltman:
    """Show how the error of a count depends on its size.

    95 % of the differences lie between the limits where they are normally distributed. Those of
    counts are not quite: look at the points.

    Reference:
        Bland and Altman, "Statistical methods for assessing agreement between two methods of
        clinical measurement", Lancet 1986.
    """
    differences = _differences(predicted, true)
    bias = float(differences.mean())
    reach = LIMITS_OF_AGREEMENT * float(differences.std(ddof=1)) if len(differences) > 1 else None
    return BlandAltman(
        means=np.asarray(true, dtype=np.float64) + differences / 2,
        differences=differences,
        bias=bias,
        low=None if reach is None else bias - reach,
        high=None if reach is None else bias + reach,
    )


def _differences(predicted: Sequence[int], true: Sequence[int]) -> np.ndarray:
    if len(predicted) != len(true) or not len(true):
        raise ValueError(
            "Counts are compared photo by photo, for at least one photo. "
            f"Received {len(predicted)} predicted and {len(true)} true counts; give one of each."
        )
    return np.asarray(predicted, dtype=np.float64) - np.asarray(true, dtype=np.float64)


def hayashi_grade(count: int) -> int:
    """Return the grade of a photo: 0 for at most 5 lesions, 1 for 20, 2 for 50, 3 for more."""
    return bisect.bisect_left(HAYASHI_LIMITS, count)


def grades_of(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Grade (P,) counts, as `hayashi_grade` does one by one."""
    return np.searchsorted(HAYASHI_LIMITS, np.asarray(counts), side="left")


@dataclass(frozen=True, kw_only=True)
class Grading:
    """Predicted against true grades, with what `grade_measures` and `per_grade_measures` say."""

    true: np.ndarray  # (P,) 0 to 3
    predicted: np.ndarray  # (P,) 0 to 3
    confusion: np.ndarray  # (G, G) photos by true grade (row) and predicted grade (column)
    measures: dict[str, float | None]
    per_grade: dict[str, list[float | None]]


def grade_counts(true_counts: Sequence[int], predicted_counts: Sequence[int]) -> Grading:
    """Grade photos by their (P,) counts, and compare the grades."""
    _differences(predicted_counts, true_counts)  # the two have to pair up
    true, predicted = grades_of(true_counts), grades_of(predicted_counts)
    confusion = confusion_table(true, predicted)
    return Grading(
        true=true,
        predicted=predicted,
        confusion=confusion,
        measures=grade_measures(confusion),
        per_grade=per_grade_measures(confusion),
    )


def confusion_table(
    true: np.ndarray, predicted: np.ndarray, photo_weights: np.ndarray | None = None
) -> np.ndarray:
    """Count photos, (G, G) int64, by their (P,) true (row) and predicted (column) grades."""
    cells = true * NUM_GRADES + predicted
    counts = np.bincount(cells, weights=photo_weights, minlength=NUM_GRADES**2)
    return counts.astype(np.int64).reshape(NUM_GRADES, NUM_GRADES)


def grade_measures(confusion: np.ndarray) -> dict[str, float | None]:
    """Summarise a confusion table as the LDL paper does, with the quadratic kappa besides.

    "accuracy", and the means over true grades of "precision", "sensitivity", "specificity" and
    "Youden" (sensitivity + specificity - 100) are in percent, "quadratic kappa" from -1 to 1. None
    where undefined; see the module's head.

    Reference:
        Wu et al., "Joint Acne Image Grading and Counting via Label Distribution Learning", ICCV
        2019. Kappa: Cohen, "Weighted kappa", Psychological Bulletin 1968.
    """
    total = confusion.sum()
    present = confusion.sum(axis=1) > 0
    measures = {"accuracy": PERCENT * np.trace(confusion) / total if total else np.nan}
    for name, values in _one_against_rest(confusion).items():
        measures[name] = values[present].mean() if present.any() else np.nan
    measures["quadratic kappa"] = _quadratic_kappa(confusion)
    return {name: _none_for_nan(value) for name, value in measures.items()}


def per_grade_measures(confusion: np.ndarray) -> dict[str, list[float | None]]:
    """Measure each grade against the rest by the names of `grade_measures`, G values each."""
    return {
        name: [_none_for_nan(value) for value in values]
        for name, values in _one_against_rest(confusion).items()
    }


def _one_against_rest(confusion: np.ndarray) -> dict[str, np.ndarray]:
    hits = np.diag(confusion).astype(np.float64)
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    others = confusion.sum() - true
    precision = _ratio(hits, predicted)
    precision[(predicted == 0) & (true > 0)] = 0  # there, and never predicted
    sensitivity = _ratio(hits, true)
    specificity = _ratio(others - (predicted - hits), others)
    return {
        "precision": PERCENT * precision,
        "sensitivity": PERCENT * sensitivity,
        "specificity": PERCENT * specificity,
        "Youden": PERCENT * (sensitivity + specificity - 1),
    }


def _quadratic_kappa(confusion: np.ndarray) -> float:
    """Return 1 - observed / expected disagreement; NaN where chance itself never disagrees."""
    by_chance = np.outer(confusion.sum(axis=1), confusion.sum(axis=0))
    observed = (_DISAGREEMENT * confusion).sum() * confusion.sum()
    expected = (_DISAGREEMENT * by_chance).sum()
    return 1 - observed / expected if expected else np.nan


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _none_for_nan(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
