"""The whole audit: every photo read once on all cores, every check on it, and the report as text.

Where a data set lies is nobody's business: reports are passed on, so folders are left out of them.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from tabulate import tabulate

from acnet.data.audit.checks import check_boxes, check_ids, check_names, check_photo_labels
from acnet.data.audit.examination import Photo, examine
from acnet.data.audit.findings import KINDS, Finding, Report, sort_findings
from acnet.data.audit.statistics import PERCENTS, AnchorSet, Statistics, describe, quantiles
from acnet.data.audit.twins import Twins, check_twins, find_twins, shared_photos
from acnet.data.parallel import map_photos
from acnet.data.readers.source import Source, folder_prefixes, place_in_set, without_folders

ENOUGH_BOXES_REACHED = 0.9  # by anchors


@dataclass(frozen=True)
class AuditOptions:
    """What may be asked differently; nothing of it changes which faults are found.

    Args:
        anchors: whose fit to the boxes is reported.
        workers: processes.
    """

    anchors: AnchorSet = field(default_factory=AnchorSet)
    workers: int = 1


@dataclass(frozen=True)
class Audit:
    """A report, and what it was made from, for the page and for cleaning.

    Args:
        report: the findings.
        photos: in order of their file names.
        twins: groups of equal and nearly equal photos.
    """

    report: Report
    photos: Sequence[Photo]
    twins: Sequence[Twins]


def audit_source(source: Source, options: AuditOptions) -> Audit:
    """Look for all faults of `KINDS` in a data set. Nothing is written.

    Returns:
        The findings, sorted, and what was read.
    """
    photos = examine_all(source, workers=options.workers)
    annotated = [photo.annotated for photo in photos if photo.annotated is not None]
    twins = find_twins(photos)
    statistics = describe(annotated, source.splits, options.anchors)
    findings = [finding for photo in photos for finding in photo.findings]
    for photo in annotated:
        findings += check_boxes(photo)
        findings += check_photo_labels(photo)
    findings += check_names(annotated, source.class_names)
    findings += check_ids(annotated, source.splits)
    findings += check_twins(twins, photos, source.splits)
    findings += _check_lists(source)
    findings += _check_anchors(statistics)
    prefixes = folder_prefixes(source)
    findings = [replace(f, detail=without_folders(f.detail, prefixes)) for f in findings]
    return Audit(Report(sort_findings(findings), statistics), photos, twins)


def examine_all(source: Source, *, workers: int) -> list[Photo]:
    """Read every photo that a split lists.

    Returns:
        The photos in order of their file names.
    """
    names = sorted({name for members in source.splits.values() for name in members})
    work = functools.partial(examine, source=source)
    return map_photos(work, names, workers=workers, description="reading photos")


def _check_lists(source: Source) -> Iterator[Finding]:
    for path in sorted(source.unlisted):
        yield Finding("file without partner", place_in_set(path, source))
    for note in source.notes:
        detail = f"{note.kind} {note.detail}".strip()
        yield Finding("annotation not taken", note.file_name, detail, note.count)
    for leak in shared_photos(source.splits):
        yield Finding("photo in two parts", leak.file_name, f"{leak.split} and {leak.twin_split}")


def _check_anchors(statistics: Statistics) -> Iterator[Finding]:
    share = statistics.anchor_share
    if share is None or share >= ENOUGH_BOXES_REACHED:
        return
    detail = f"{share:.1%} of the boxes have an anchor with an IoU of 0.5"
    yield Finding("anchors miss boxes", "", detail)


SHOWN_FINDINGS = 5  # of each kind
SHOWN_NAMES = 20


def report_text(report: Report) -> str:
    """Write what the set holds, what is wrong with it and what to do, for people.

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
    """Write the names and how often each occurs, the most frequent ones first.

    Returns:
        Such as "fore 18,982, cold_sore 1"; at most twenty names.
    """
    items = list(statistics.names.items())
    parts = [f"{printable(name)} {number:,}" for name, number in items[:SHOWN_NAMES]]
    parts += [f"and {len(items) - SHOWN_NAMES:,} more"] * (len(items) > SHOWN_NAMES)
    return ", ".join(parts) or "none"


def printable(text: str) -> str:
    """Replace what a terminal would take for a command, such as escape codes in names of files."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def percentiles(values: np.ndarray) -> str:
    """Write the 5th, 50th and 95th percentile.

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
