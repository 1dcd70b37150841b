"""The measures of the report: what each is called, and how many of its digits are shown."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from acnet.evaluation.printed_tables import DECIMALS
from acnet.evaluation.result import Metric

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
