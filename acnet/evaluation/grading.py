"""Severity grades of photos, and the measures by which the LDL paper compares them.

Shape shorthand in this module:
    P: number of photos
    G: number of Hayashi grades, 4
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

GRADE_NAMES = ("mild", "moderate", "severe", "very severe")


@dataclass(frozen=True, kw_only=True)
class Grading:
    """Predicted against true grades.

    Args:
        true: (P,) grades from 0 to 3.
        predicted: (P,) grades from 0 to 3.
        confusion: (G, G) photos by true grade (row) and predicted grade (column).
        measures: In percent: "accuracy", "precision", "sensitivity", "specificity", "Youden"; from
            -1 to 1: "quadratic kappa". None where a measure is undefined.
        per_grade: "precision", "sensitivity", "specificity" and "Youden" of each grade, (G) values
            in percent, None where undefined.
    """

    true: np.ndarray
    predicted: np.ndarray
    confusion: np.ndarray
    measures: dict[str, float | None]
    per_grade: dict[str, list[float | None]]


def grade_counts(true_counts: Sequence[int], predicted_counts: Sequence[int]) -> Grading:
    """Grade photos by their counts, and compare the grades."""
    raise NotImplementedError
