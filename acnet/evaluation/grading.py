"""Severity grades of photos, and the measures by which the LDL paper compares them.

Shape shorthand in this module:
    P: number of photos
    G: number of Hayashi grades, 4

Each measure is a mean over grades, each grade against the rest. NOT IN PAPER: what happens to a
grade that is missing, which is common in small sets and in bootstrap replicates. A grade that no
photo truly has is left out of the means, as in the LDL paper's own program; a grade that is there
and never predicted has precision 0 (that program divides by zero); with a single true grade there
is no rest, so specificity and Youden index are undefined (None), and never a NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acnet.data.records import HAYASHI_LIMITS

GRADE_NAMES = ("mild", "moderate", "severe", "very severe")
NUM_GRADES = len(GRADE_NAMES)
PERCENT = 100.0
# (k - l)^2: quadratic disagreement between grades; its scale cancels in kappa.
_DISAGREEMENT = np.square(np.subtract.outer(np.arange(NUM_GRADES), np.arange(NUM_GRADES)))


@dataclass(frozen=True, kw_only=True)
class Grading:
    """Predicted against true grades.

    Args:
        true: (P,) grades from 0 to 3.
        predicted: (P,) grades from 0 to 3.
        confusion: (G, G) photos by true grade (row) and predicted grade (column).
        measures: In percent: "accuracy", "precision", "sensitivity", "specificity", "Youden"; from
            -1 to 1: "quadratic kappa". None where a measure is undefined.
        per_grade: "precision", "sensitivity", "specificity" and "Youden" of each grade, G values
            in percent, None where undefined.
    """

    true: np.ndarray
    predicted: np.ndarray
    confusion: np.ndarray
    measures: dict[str, float | None]
    per_grade: dict[str, list[float | None]]


def grades_of(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Grade photos by their counts, as `acnet.data.records.hayashi_grade` does one by one.

    Args:
        counts: (P,) lesions of each photo, from 0.

    Returns:
        (P,) int64, 0 to 3.
    """
    return np.searchsorted(HAYASHI_LIMITS, np.asarray(counts), side="left")


def grade_counts(true_counts: Sequence[int], predicted_counts: Sequence[int]) -> Grading:
    """Grade photos by their counts, and compare the grades.

    Args:
        true_counts: (P,) lesions in each photo, at least one photo.
        predicted_counts: (P,) lesions found in each.

    Returns:
        Grades, confusion table and measures.

    Raises:
        ValueError: There is no photo, or not one count of each kind for each.
    """
    if len(true_counts) != len(predicted_counts) or not len(true_counts):
        raise ValueError(
            "Grades are compared photo by photo, for at least one photo. Received "
            f"{len(true_counts)} true and {len(predicted_counts)} predicted counts; give one of "
            "each."
        )
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
    """Count photos by true and predicted grade.

    Args:
        true: (P,) 0 to 3.
        predicted: (P,) 0 to 3.
        photo_weights: (P,) how often each photo counts; once by default.

    Returns:
        (G, G) int64; rows are true grades, columns predicted ones.
    """
    cells = true * NUM_GRADES + predicted
    counts = np.bincount(cells, weights=photo_weights, minlength=NUM_GRADES**2)
    return counts.astype(np.int64).reshape(NUM_GRADES, NUM_GRADES)


def grade_measures(confusion: np.ndarray) -> dict[str, float | None]:
    """Summarise a confusion table as the LDL paper does, with the quadratic kappa besides.

    Args:
        confusion: (G, G) photos; rows are true grades.

    Returns:
        "accuracy", and the means over true grades of "precision", "sensitivity" and "specificity",
        "Youden" (sensitivity + specificity - 100), all in percent, and "quadratic kappa" from -1 to
        1. None where undefined; see the module's head.

    Reference:
        Wu et al., "Joint Acne Image Grading and Counting via Label Distribution Learning", ICCV
        2019. Kappa: Cohen, "Weighted kappa", Psychological Bulletin 1968.
    """
    total = confusion.sum()
    present = confusion.sum(axis=1) > 0
    per_grade = _one_against_rest(confusion)
    measures = {"accuracy": PERCENT * np.trace(confusion) / total if total else np.nan}
    for name, values in per_grade.items():
        measures[name] = values[present].mean() if present.any() else np.nan
    measures["quadratic kappa"] = _quadratic_kappa(confusion)
    return {name: _none_for_nan(value) for name, value in measures.items()}


def per_grade_measures(confusion: np.ndarray) -> dict[str, list[float | None]]:
    """Measure each grade against the rest.

    Args:
        confusion: (G, G) photos; rows are true grades.

    Returns:
        "precision", "sensitivity", "specificity" and "Youden", each G values in percent; None where
        undefined.
    """
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
