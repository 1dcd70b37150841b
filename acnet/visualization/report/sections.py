"""The sections of the report: what its template shows of detections, counts and grades."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from acnet.evaluation.counting import GRADE_NAMES
from acnet.evaluation.froc_curve import Froc
from acnet.evaluation.precision_curves import COCO_RECALLS, precision_at, precision_recall
from acnet.evaluation.printed_tables import DECIMALS
from acnet.evaluation.protocol import FROC_RULES, rate_name
from acnet.evaluation.result import EvaluationResult, Metric
from acnet.visualization.report import figures
from acnet.visualization.svg import svg_figure

# The measures of the first table, in its order; the sections show the others.
HEADLINES = {
    "Finding lesions": (r"AP50@(\d+)", r"AP@(\d+)", r"AP50-VOC07", r"sensitivity@1 \((.*)\)"),
    "Counting lesions": (r"MAE", r"bias"),
    "Grading severity": (r"accuracy", r"quadratic kappa"),
    "Trusting the scores": (r"ECE",),
}
# Name in words and term of the glossary, by key; {0} is the group of the pattern.
LABELS = {
    r"AP50@(\d+)": ("AP50, boxes right from IoU 0.50", "ap"),
    r"AP75@(\d+)": ("AP75, boxes right from IoU 0.75", "ap"),
    r"AP@(\d+)": ("AP, mean over IoU 0.50 to 0.95", "ap"),
    r"AR@(\d+)": ("AR, lesions found at any score", "ar"),
    r"AP50-VOC07": ("AP50 as in VOC 2007, at 11 points", "voc"),
    r"AP50-area": ("AP50 as in VOC 2010, by area", "voc"),
    r"sensitivity@1 \((.*)\)": ("Lesions found at 1 false alarm a photo, by {0}", "froc"),
    r"sensitivity@(\S+) \(.*\)": ("Lesions found at {0} false alarms a photo", "froc"),
    r"FROC \(.*\)": ("Mean of the lesions found at 1/8 to 8 false alarms a photo", "froc"),
    r"MAE": ("Mean absolute error, lesions", "counts"),
    r"RMSE": ("Root mean square error, lesions", "counts"),
    r"bias": ("Bias of the count, lesions", "counts"),
    r"accuracy": ("Photos with the right Hayashi grade", "grade"),
    r"precision": ("Precision", "grade"),
    r"sensitivity": ("Sensitivity", "grade"),
    r"specificity": ("Specificity", "grade"),
    r"Youden": ("Youden index", "youden"),
    r"quadratic kappa": ("Agreement of grades, quadratic kappa", "kappa"),
    r"ECE": ("Expected calibration error, bins of equal width", "ece"),
    r"ECE.*": ("Expected calibration error, bins of equal numbers", "ece"),
}
IOUS = (0.5, 0.75)
RULES = {"iou": "IoU 0.50", "centre": "centre inside"}
ERROR_MEANINGS = {
    "missed": "lesions without a detection",
    "background": "detections on no lesion",
    "localisation": "detections on a lesion, with a box that is too far off",
    "duplicate": "second detections of a lesion",
    "class": "right boxes with the wrong class",
    "class and localisation": "both wrong",
}


def headline_groups(metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """Choose and arrange the numbers of the first table, by group."""
    groups = {
        title: [
            metric_row(metric)
            for pattern in patterns
            for metric in metrics
            if re.fullmatch(pattern, metric.key)
        ]
        for title, patterns in HEADLINES.items()
    }
    return [{"title": title, "rows": rows} for title, rows in groups.items() if rows]


def metric_rows(metrics: Sequence[Metric], group: str) -> list[dict[str, Any]]:
    """Arrange all numbers of a group, in the order of the evaluation."""
    return [metric_row(metric) for metric in metrics if metric.group == group]


def metric_row(metric: Metric) -> dict[str, Any]:
    """Return what a table shows of a number, for shares their places on a line among it."""
    label, term = describe(metric.key)
    return {
        "key": metric.key,
        "label": label,
        "term": term,
        "value": metric.value,
        "low": metric.low,
        "high": metric.high,
        "unit": "%" if metric.unit == "%" else "",  # that of counts stands in the label
        "digits": DECIMALS[metric.unit],
        "plus": metric.better == "zero",
        "bar": _bar(metric) if metric.unit == "%" else None,
    }


def describe(key: str) -> tuple[str, str | None]:
    """Say in words what a key means, and by which term of the glossary, if it is known."""
    for pattern, (label, term) in LABELS.items():
        found = re.fullmatch(pattern, key)
        if found:
            return label.format(*found.groups()), term
    return key, None


def _bar(metric: Metric) -> Mapping[str, float] | None:
    """Place value and interval on a line from 0 to 100 %."""
    if metric.value is None or not 0 <= metric.value <= 100:
        return None
    low = metric.value if metric.low is None else max(metric.low, 0.0)
    high = metric.value if metric.high is None else min(metric.high, 100.0)
    places = {"left": low, "width": high - low, "place": metric.value}
    return {name: round(place, 2) for name, place in places.items()}


def detection_part(result: EvaluationResult) -> dict[str, Any] | None:
    """Draw precision over recall and FROC, and list the numbers behind them.

    Without a lesion to find there is nothing, as in the other parts.
    """
    curves = {rule: curve for rule, curve in result.froc.items() if curve is not None}
    if not curves:
        return None
    points = next(iter(curves.values())).points
    froc = metric_rows(result.metrics, "FROC")
    return {
        "precision_recall": _precision_recall(result),
        "classes": len(np.unique(result.ground_truth.classes[~result.ground_truth.crowd])),
        "froc": _froc(curves),
        "points": [rate_name(point) for point in points],
        "rules": [
            {
                "name": RULES[rule],
                "rows": [row for row in froc if row["key"].endswith(f"({FROC_RULES[rule]})")],
                "thresholds": curve.thresholds,
            }
            for rule, curve in curves.items()
        ],
        "metrics": metric_rows(result.metrics, "detection"),
        "all": list(result.detection.items()),
    }


def calibration_part(result: EvaluationResult) -> dict[str, Any] | None:
    """Draw the reliability of the scores; nothing without a detection."""
    bins = result.calibration.equal_width
    if bins.ece is None:
        return None
    alt = f"Share of right detections over their score; expected calibration error {bins.ece:.1f} %"
    columns = (bins.edges, bins.counts, bins.mean_scores, bins.precisions * 100)
    return {
        "figure": svg_figure("reliability", figures.draw_reliability, bins, alt=alt, height_px=330),
        "metrics": metric_rows(result.metrics, "calibration"),
        "bins": [
            {"low": low, "high": high, "count": count, "score": score, "precision": precision}
            for (low, high), count, score, precision in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ],
    }


def sizes_part(result: EvaluationResult) -> dict[str, Any] | None:
    """Draw AP50 and recall by size of the lesions."""
    cap = max(result.matches.caps)
    labels, recall, ap50 = [], [], []
    for index, size in enumerate(result.matches.size_ranges):
        lesions = int(result.matches.num_gt[:, :, index].sum())
        if size.suffix.startswith("[") and lesions:
            labels.append(f"{_size_label(size.suffix)}\n{lesions:,}")
            recall.append(result.detection[f"AR{size.suffix}@{cap}"])
            ap50.append(result.detection[f"AP50{size.suffix}@{cap}"])
    if not labels:
        return None
    values = {"recall (AR)": recall, "AP50": ap50}
    alt = "By size: " + "; ".join(
        f"{label.splitlines()[0]} px, recall {ar:.0f} %, AP50 {ap:.0f} %"
        for label, ar, ap in zip(labels, recall, ap50, strict=True)
    )
    return {"figure": svg_figure("sizes", figures.draw_sizes, labels, values, alt=alt)}


def errors_part(result: EvaluationResult) -> dict[str, Any] | None:
    """Draw what each kind of error costs."""
    parts = dict(sorted(result.error_parts.items(), key=lambda part: (-part[1], part[0])))
    if not parts:
        return None
    alt = "Gain of AP50 without " + ", ".join(f"{name} {gain:.1f}" for name, gain in parts.items())
    return {
        "figure": svg_figure(
            "errors", figures.draw_error_parts, parts, alt=alt, height_px=60 + 34 * len(parts)
        ),
        "meanings": [(name, ERROR_MEANINGS[name]) for name in parts],
    }


def classes_part(result: EvaluationResult) -> list[dict[str, Any]]:
    """List the classes where there are several."""
    truth, cap = result.ground_truth, max(result.matches.caps)
    if truth.num_classes < 2:
        return []
    lesions = np.bincount(truth.classes[~truth.crowd], minlength=truth.num_classes).tolist()
    found = np.bincount(result.detections.classes, minlength=truth.num_classes).tolist()
    return [
        {
            "name": name,
            "lesions": lesions[index],
            "detections": found[index],
            "ap50": result.detection.get(f"AP50-{name}@{cap}"),
            "ap": result.detection.get(f"AP-{name}@{cap}"),
        }
        for index, name in enumerate(truth.class_names)
    ]


def _precision_recall(result: EvaluationResult) -> Markup:
    labelled = {}
    for iou in IOUS:
        recall, precision, ap = _mean_curve(result, iou)
        labelled[f"IoU {iou:.2f}, AP {ap:.1f} %"] = (recall, precision)
    alt = "Precision over recall; " + "; ".join(labelled)
    return svg_figure("precision_recall", figures.draw_precision_recall, labelled, alt=alt)


def _mean_curve(result: EvaluationResult, iou: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return recall, precision and AP: as measured for one class, COCO's mean for several."""
    curves = [
        precision_recall(result.matches, class_index=index, iou=iou)
        for index in range(result.ground_truth.num_classes)
    ]
    curves = [curve for curve in curves if curve is not None]
    ap = float(np.mean([curve.ap for curve in curves]))
    if len(curves) == 1:
        return curves[0].recall, curves[0].precision, ap
    means = [precision_at(COCO_RECALLS, curve.recall, curve.precision) for curve in curves]
    return COCO_RECALLS, np.mean(means, axis=0), ap


def _froc(curves: dict[str, Froc]) -> Markup:
    lines = {RULES[rule]: curve for rule, curve in curves.items()}
    alt = "Share of lesions found over false alarms a photo; mean " + ", ".join(
        f"{name} {curve.score:.3f}" for name, curve in lines.items()
    )
    return svg_figure("froc", figures.draw_froc, lines, alt=alt)


def _size_label(suffix: str) -> str:
    """Write "[16-32px]" as "16–32" and "[128px-]" as "from 128"."""
    low, high = re.fullmatch(r"\[(\d+)(?:-(\d+)px|px-)\]", suffix).groups()
    return f"from {low}" if high is None else f"{low}\N{EN DASH}{high}"


SQUARE_PX = 330  # so that the axes of the scatter, which are equal, fill the width


def counts_part(result: EvaluationResult) -> dict[str, Any] | None:
    """Draw counted against true lesions, and how they agree; nothing without a count model."""
    counts, model = result.counts, result.count_model
    if counts is None:
        return None
    scatter_alt = f"Counted over true lesions of {len(counts.true)} photos"
    agreement = counts.agreement
    agreement_alt = f"Counted minus true lesions over their mean; bias {agreement.bias:+.2f}"
    if agreement.low is not None:
        agreement_alt += f", limits of agreement {agreement.low:+.1f} to {agreement.high:+.1f}"
    return {
        "scatter": svg_figure(
            "counts",
            figures.draw_counts,
            counts.true,
            counts.predicted,
            alt=scatter_alt,
            height_px=SQUARE_PX,
        ),
        "agreement": svg_figure(
            "agreement", figures.draw_agreement, agreement, alt=agreement_alt, height_px=SQUARE_PX
        ),
        "threshold": model.threshold,
        "fit_photos": model.fit_photos,
        "merge": model.merge,
        "target": model.coverage * 100,
        "coverage": counts.coverage,
        "metrics": metric_rows(result.metrics, "counts"),
        "limits": (agreement.low, agreement.high),
    }


def grading_part(result: EvaluationResult) -> dict[str, Any] | None:
    """Arrange the confusion of grades and the measures of each; nothing without a count model."""
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
