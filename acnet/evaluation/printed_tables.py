"""Results of an evaluation as text for a terminal, and those of a comparison as JSON."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from acnet.evaluation.columns import GroundTruth
from acnet.evaluation.counting import GRADE_NAMES
from acnet.evaluation.protocol import FROC_RULES, rate_name
from acnet.evaluation.result import (
    SCHEMA_VERSION,
    Difference,
    EvaluationOptions,
    EvaluationResult,
    Metric,
)

DECIMALS = {"%": 1, "lesions": 2, "": 3}
UNDEFINED = "-"
COCO_SIZES = {"s": "COCO small", "m": "COCO medium", "l": "COCO large"}
MOST_PHOTOS_SHOWN = 5
BY_COUNT = (
    "true and predicted grades are those of a count of boxes (5, 20, 50), as ACNE04's labels are;\n"
    "Hayashi's own are for inflammatory lesions on half of the face"
)
FEW_PHOTOS = 100  # below, 95 % intervals hold some 5 to 10 % fewer; docs/lab/evaluation.md


def result_text(result: EvaluationResult) -> str:
    """Write an evaluation's numbers with their intervals, as several short tables."""
    parts = [
        _data_text(result),
        _group_table(result, "detection", "detection"),
        _size_table(result),
        _class_table(result),
        _froc_table(result),
        *((_count_text(result), _grade_text(result)) if result.counts is not None else ()),
        _group_table(result, "calibration", "calibration of scores"),
        _error_text(result),
        _worst_text(result),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def comparison_text(rows: Sequence[Difference], options: EvaluationOptions) -> str:
    """Write the differences of two models as a table."""
    cells = [
        (
            row.key,
            *(_number(value, row.unit) for value in (row.a, row.b)),
            _number(row.difference, row.unit, sign="+"),
            _interval(row, sign="+"),
            UNDEFINED if row.p is None else f"{row.p:.3f}",
            _better_model(row, options.level),
        )
        for row in rows
    ]
    headers = ("", "A", "B", "B - A", f"{options.level:.0%} interval", "p", "better")
    return _table(cells, headers) + "\n"


def comparison_json(
    rows: Sequence[Difference], ground_truth: GroundTruth, options: EvaluationOptions
) -> dict[str, Any]:
    """Return a comparison and what it was made of as plain JSON types; undefined is null."""
    return {
        "schema_version": SCHEMA_VERSION,
        "photos": ground_truth.num_photos,
        "max_detections": options.max_detections,
        "replicates": options.replicates,
        "seed": options.seed,
        "level": options.level,
        "differences": [dataclasses.asdict(row) for row in rows],
    }


def _data_text(result: EvaluationResult) -> str:
    truth, options = result.ground_truth, result.options
    lines = [
        f"{truth.num_photos} photos, {truth.counts().sum()} lesions, "
        f"{len(result.detections)} detections"
    ]
    if result.photos_without_detections:
        lines.append(f"{result.photos_without_detections} photos have no detection at all")
    if options.replicates:
        lines.append(
            f"intervals: {options.level:.0%}, {options.replicates} bootstrap replicates over "
            f"photos, seed {options.seed}"
        )
        if truth.num_photos < FEW_PHOTOS:
            lines.append(f"with fewer than {FEW_PHOTOS} photos, intervals are too narrow")
    return "\n".join(lines)


def _group_table(result: EvaluationResult, group: str, title: str) -> str:
    cells = [
        (metric.key, _number(metric.value, metric.unit), metric.unit, _interval(metric))
        for metric in result.metrics
        if metric.group == group
    ]
    return _table(cells, (title, "", "", "interval"))


def _size_table(result: EvaluationResult) -> str:
    cap = result.matches.caps[-1]
    lesions = result.matches.num_gt.sum(axis=(0, 1)).tolist()
    cells = [
        (
            COCO_SIZES.get(size_range.suffix, size_range.suffix.strip("[]")),
            count,
            *_precision_cells(result, f"{size_range.suffix}@{cap}"),
        )
        for size_range, count in zip(result.matches.size_ranges, lesions, strict=True)
        if size_range.suffix
    ]
    return _table(cells, ("size", "lesions", "AP", "AP50", "AR"))


def _class_table(result: EvaluationResult) -> str:
    names = result.ground_truth.class_names
    if len(names) == 1:
        return ""
    cap = result.matches.caps[-1]
    lesions = result.matches.num_gt[:, :, 0].sum(axis=0).tolist()
    cells = [
        (name, count, *_precision_cells(result, f"-{name}@{cap}")[:2])
        for name, count in zip(names, lesions, strict=True)
    ]
    return _table(cells, ("class", "lesions", "AP", "AP50"))


def _precision_cells(result: EvaluationResult, key: str) -> list[str]:
    return [_number(result.detection.get(f"{name}{key}"), "%") for name in ("AP", "AP50", "AR")]


def _froc_table(result: EvaluationResult) -> str:
    rows = {
        rule: [metric for metric in result.metrics if metric.key.endswith(f"({rule})")]
        for rule in FROC_RULES.values()
    }
    points = next((curve.points for curve in result.froc.values() if curve is not None), ())
    if not points:
        return ""
    cells = [
        (rule, *(_number(metric.value, "%") for metric in row), _interval(row[-1]))
        for rule, row in rows.items()
    ]
    headers = ("hit by", *(rate_name(point) for point in points), "mean", "interval of the mean")
    return "FROC: sensitivity in % at false positives a photo\n" + _table(cells, headers)


def _count_text(result: EvaluationResult) -> str:
    model, counts = result.count_model, result.counts
    agreement, coverage = counts.agreement, counts.coverage
    expected_low, expected_high = counts.expected_coverage
    lines = [
        _group_table(result, "counts", "counts"),
        f"counted from score {model.threshold:.3f}, fitted for {model.merge}",
    ]
    if agreement.low is not None:
        lines.append(f"limits of agreement: {agreement.low:+.1f} to {agreement.high:+.1f} lesions")
    lines += [
        f"{model.coverage:.0%} intervals hold the true count in {coverage.value:.1%} of the photos "
        f"({coverage.low:.1%} to {coverage.high:.1%});",
        f"{expected_low:.1%} to {expected_high:.1%} is chance, with {model.interval_photos} "
        "validation photos",
    ]
    return "\n".join(lines)


def _grade_text(result: EvaluationResult) -> str:
    names = [f"{index} {name}" for index, name in enumerate(GRADE_NAMES)]
    confusion = [
        (name, *row) for name, row in zip(names, result.grading.confusion.tolist(), strict=True)
    ]
    table = _table(confusion, ("true \\ predicted", *names))
    return f"{_group_table(result, 'grades', 'grades')}\n{BY_COUNT}\n\n{table}"


def _error_text(result: EvaluationResult) -> str:
    if not result.error_parts:
        return ""
    cells = [(name, _number(value, "%"), "%") for name, value in result.error_parts.items()]
    return _table(cells, ("AP50 to gain without", "", ""))


def _worst_text(result: EvaluationResult) -> str:
    worst = sorted(result.photos, key=lambda row: (row.f1, -row.false - row.missed, row.index))
    cells = [
        (row.file_name, row.lesions, row.matched, row.missed, row.false, f"{row.f1:.2f}")
        for row in worst[:MOST_PHOTOS_SHOWN]
    ]
    title = (
        f"worst photos at score {result.operating_threshold:.3f} or more "
        f"({result.threshold_source})\n"
    )
    return title + _table(cells, ("photo", "lesions", "matched", "missed", "false", "F1"))


def _better_model(row: Difference, level: float) -> str:
    if row.p is None or row.better == "zero" or row.p >= 1 - level:
        return ""
    return "B" if (row.difference > 0) == (row.better == "higher") else "A"


def _interval(row: Metric | Difference, *, sign: str = "") -> str:
    ends = (_number(end, row.unit, sign=sign) for end in (row.low, row.high))
    return UNDEFINED if row.low is None else " to ".join(ends)


def _number(value: float | None, unit: str, *, sign: str = "") -> str:
    return UNDEFINED if value is None else f"{value:{sign}.{DECIMALS[unit]}f}"


def _table(cells: Sequence[Sequence], headers: Sequence[str]) -> str:
    align = ("left", *("right" for _ in headers[1:]))
    return tabulate(cells, headers, colalign=align, disable_numparse=True, tablefmt="simple")
