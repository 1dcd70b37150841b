"""The report as text, for the terminal."""

from collections.abc import Iterator

import numpy as np
from tabulate import tabulate

from acnet.data.audit.findings import Report
from acnet.data.audit.kinds import KINDS
from acnet.data.audit.statistics import PERCENTS, Statistics, quantiles

SHOWN_FINDINGS = 5  # of each kind
SHOWN_NAMES = 20


def report_text(report: Report) -> str:
    """Writes what the set holds, what is wrong with it and what to do, for people.

    Args:
        report: of an audit.

    Returns:
        Lines with a line end each; at most five findings of each kind.
    """
    parts = [*_holdings(report.statistics), "", _summary(report)]
    for kind in report.counts():
        parts += ["", *_findings_of(report, kind)]
    return "\n".join(parts) + "\n"


def _holdings(statistics: Statistics) -> Iterator[str]:
    grades = ", ".join(f"{g}: {n:,}" for g, n in statistics.photos_by_grade.items())
    yield f"{statistics.photos:,} photos, {statistics.boxes:,} boxes ({names_text(statistics)})"
    if statistics.read < statistics.photos:
        yield f"{statistics.photos - statistics.read:,} photos cannot be used"
    for split, size in statistics.splits.items():
        yield f"  {printable(split)}: {size.photos:,} photos, {size.boxes:,} boxes"
    if statistics.boxes:
        yield f"photos by grade: {grades}"
        yield f"boxes a photo {percentiles(statistics.counts)}"
        yield f"box sizes in px (root of the area) {percentiles(statistics.sizes_px)}"
    if statistics.anchor_share is not None:
        sizes = " ".join(f"{size:g}" for size in statistics.anchors.sizes_px)
        yield f"boxes with an anchor of {sizes} px at IoU 0.5: {statistics.anchor_share:.1%}"


def names_text(statistics: Statistics) -> str:
    """Writes the names and how often each occurs, the most frequent ones first.

    Args:
        statistics: of a set.

    Returns:
        Such as "fore 18,982, cold_sore 1"; at most twenty names.
    """
    items = list(statistics.names.items())
    parts = [f"{printable(name)} {number:,}" for name, number in items[:SHOWN_NAMES]]
    parts += [f"and {len(items) - SHOWN_NAMES:,} more"] * (len(items) > SHOWN_NAMES)
    return ", ".join(parts) or "none"


def printable(text: str) -> str:
    """Replaces what a terminal would take for a command, such as escape codes in names of files.

    Args:
        text: of unknown origin.
    """
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def percentiles(values: np.ndarray) -> str:
    """Writes the 5th, 50th and 95th percentile.

    Args:
        values: (N,) numbers.

    Returns:
        Such as "5/50/95 %: 3/10/30".
    """
    numbers = "/".join(f"{value:.0f}" for value in quantiles(values))
    return f"{'/'.join(map(str, PERCENTS))} %: {numbers or 'none'}"


def _summary(report: Report) -> str:
    counts = report.counts()
    if not counts:
        return "Nothing was found."
    objects = dict.fromkeys(counts, 0)
    for finding in report.findings:
        objects[finding.kind] += finding.number
    rows = [(KINDS[k].severity, k, n, objects[k], KINDS[k].remedy) for k, n in counts.items()]
    return tabulate(rows, headers=("severity", "kind", "findings", "objects", "remedy"))


def _findings_of(report: Report, kind: str) -> Iterator[str]:
    findings = [finding for finding in report.findings if finding.kind == kind]
    yield f"{kind}:"
    for finding in findings[:SHOWN_FINDINGS]:
        names = " = ".join((finding.file_name, *finding.others))
        yield "  " + printable(": ".join(part for part in (names, finding.detail) if part))
    if len(findings) > SHOWN_FINDINGS:
        yield f"  and {len(findings) - SHOWN_FINDINGS:,} more"
