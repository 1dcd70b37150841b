"""The report's sections about counts and severity grades."""

from typing import Any

import numpy as np

from acnet.evaluation.grading import GRADE_NAMES
from acnet.evaluation.result import EvaluationResult
from acnet.visualization.report.count_figures import draw_agreement, draw_counts
from acnet.visualization.report.headline import metric_rows
from acnet.visualization.svg import svg_figure

SQUARE_PX = 330  # so that the axes of the scatter, which are equal, fill the width


def counts_part(result: EvaluationResult) -> dict[str, Any] | None:
    """Draw counted against true lesions, and how they agree.

    Args:
        result: Of the evaluation.

    Returns:
        What the template shows of them; None without a count model.
    """
    counts, model = result.counts, result.count_model
    if counts is None or model is None:
        return None
    scatter_alt = f"Counted over true lesions of {len(counts.true)} photos"
    agreement = counts.agreement
    agreement_alt = f"Counted minus true lesions over their mean; bias {agreement.bias:+.2f}"
    if agreement.low is not None and agreement.high is not None:
        agreement_alt += f", limits of agreement {agreement.low:+.1f} to {agreement.high:+.1f}"
    return {
        "scatter": svg_figure(
            "counts",
            draw_counts,
            counts.true,
            counts.predicted,
            alt=scatter_alt,
            height_px=SQUARE_PX,
        ),
        "agreement": svg_figure(
            "agreement", draw_agreement, agreement, alt=agreement_alt, height_px=SQUARE_PX
        ),
        "threshold": model.threshold,
        "fit_photos": model.fit_photos,
        "merge": model.merge,
        "target": model.coverage * 100,
        "coverage": {
            "hits": counts.coverage.hits,
            "total": counts.coverage.total,
            "value": counts.coverage.value * 100,
            "low": counts.coverage.low * 100,
            "high": counts.coverage.high * 100,
        },
        "metrics": metric_rows(result.metrics, "counts"),
        "limits": (agreement.low, agreement.high),
    }


def grading_part(result: EvaluationResult) -> dict[str, Any] | None:
    """Arrange the confusion of grades and the measures of each.

    Args:
        result: Of the evaluation.

    Returns:
        What the template shows of them; None without a count model.
    """
    grading = result.grading
    if grading is None:
        return None
    photos = grading.confusion.sum(axis=1).tolist()
    return {
        "names": GRADE_NAMES,
        "confusion": [
            {"name": name, "cells": _cells(row, index)}
            for index, (name, row) in enumerate(zip(GRADE_NAMES, grading.confusion, strict=True))
        ],
        "metrics": metric_rows(result.metrics, "grades"),
        "per_grade_names": list(grading.per_grade),
        "per_grade": [
            {
                "name": name,
                "photos": photos[index],
                "shares": [values[index] for values in grading.per_grade.values()],
            }
            for index, name in enumerate(GRADE_NAMES)
        ],
    }


def _cells(row: np.ndarray, right: int) -> list[dict[str, Any]]:
    total = max(1, int(row.sum()))
    return [
        {"photos": photos, "share": round(photos / total, 3), "right": column == right}
        for column, photos in enumerate(row.tolist())
    ]
