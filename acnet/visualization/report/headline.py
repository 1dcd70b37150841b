"""The headline table: what each measure is called, and how many of its digits are shown."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from acnet.evaluation.result import Metric

GROUP_TITLES = {
    "detection": "Finding lesions",
    "FROC": "Sensitivity by false alarms",
    "calibration": "Trust in the scores",
    "counts": "Counting lesions",
    "grades": "Grading severity",
}
# Name in words and term of the glossary, by key; {0}, {1} are the groups of the pattern.
LABELS = {
    r"AP50@(\d+)": ("AP50: boxes with IoU 0.50 or more, best {0} a photo", "ap"),
    r"AP75@(\d+)": ("AP75: boxes with IoU 0.75 or more, best {0} a photo", "ap"),
    r"AP@(\d+)": ("AP: mean over IoU 0.50 to 0.95, best {0} a photo", "ap"),
    r"AR@(\d+)": ("AR: lesions found, mean over IoU 0.50 to 0.95", "ar"),
    r"AP50-VOC07": ("AP50 of VOC 2007, 11 points", "voc"),
    r"AP50-area": ("AP50 of VOC 2010, area under the curve", "ap"),
    r"MAE": ("Mean absolute error of the count", "counts"),
    r"RMSE": ("Root mean square error of the count", "counts"),
    r"bias": ("Mean of counted minus true", "counts"),
    r"accuracy": ("Photos whose grade is right", "grade"),
    r"precision": ("Precision, mean over grades", "grade"),
    r"sensitivity": ("Sensitivity, mean over grades", "grade"),
    r"specificity": ("Specificity, mean over grades", "grade"),
    r"Youden": ("Youden index, mean over grades", "youden"),
    r"quadratic kappa": ("Agreement beyond chance, quadratic kappa", "kappa"),
    r"ECE.*": ("Expected calibration error", "ece"),
}
DIGITS = {"%": 1, "lesions": 2, "": 3}


def headline_groups(metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """Arrange the headline numbers for the table.

    Args:
        metrics: In the order of the table; groups stay together.

    Returns:
        For each group its title and its rows.
    """
    names = dict.fromkeys(metric.group for metric in metrics)
    return [
        {
            "title": GROUP_TITLES.get(name, name),
            "rows": [_row(metric) for metric in metrics if metric.group == name],
        }
        for name in names
    ]


def _row(metric: Metric) -> dict[str, Any]:
    label, term = describe(metric.key)
    return {
        "key": metric.key,
        "label": label,
        "term": term,
        "value": metric.value,
        "low": metric.low,
        "high": metric.high,
        "unit": metric.unit,
        "digits": DIGITS[metric.unit],
        "plus": metric.better == "zero",
        "bar": _bar(metric) if metric.unit == "%" else None,
    }


def describe(key: str) -> tuple[str, str | None]:
    """Say in words what a key means.

    Args:
        key: Of a headline number.

    Returns:
        The words and the term of the glossary; the key itself and None where it is not known.
    """
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
