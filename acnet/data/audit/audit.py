"""The whole audit: every photo read once on all cores, every check on what was read."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from acnet.data.audit.anchors import AnchorSet
from acnet.data.audit.box_checks import check_boxes
from acnet.data.audit.box_grid import check_grid
from acnet.data.audit.findings import Finding, Report, sort_findings
from acnet.data.audit.label_checks import check_ids, check_names, check_photo_labels
from acnet.data.audit.photo import Photo, examine
from acnet.data.audit.places import folder_prefixes, place_in_set, without_folders
from acnet.data.audit.statistics import Statistics, describe
from acnet.data.audit.twins import Twins, check_twins, find_twins, shared_photos
from acnet.data.parallel import map_photos
from acnet.data.readers.source import Source

ENOUGH_BOXES_REACHED = 0.9  # by anchors, so that none others are suggested


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
    """Looks for all faults of `KINDS` in a data set. Nothing is written.

    Args:
        source: of any format.
        options: anchors and processes.

    Returns:
        The findings, sorted, and what was read.
    """
    photos = examine_all(source, workers=options.workers)
    annotated = [photo.annotated for photo in photos if photo.annotated is not None]
    twins = find_twins(photos)
    statistics = describe(annotated, source.splits, options.anchors, enough=ENOUGH_BOXES_REACHED)
    findings = [finding for photo in photos for finding in photo.findings]
    for photo in annotated:
        findings += check_boxes(photo)
        findings += check_photo_labels(photo)
    findings += check_names(annotated, source.class_names)
    findings += check_ids(annotated, source.splits)
    findings += check_grid(annotated)
    findings += check_twins(twins, photos, source.splits)
    findings += _check_lists(source)
    findings += _check_anchors(statistics)
    prefixes = folder_prefixes(source)
    findings = [replace(f, detail=without_folders(f.detail, prefixes)) for f in findings]
    return Audit(Report(sort_findings(findings), statistics), photos, twins)


def examine_all(source: Source, *, workers: int) -> list[Photo]:
    """Reads every photo that a split lists.

    Args:
        source: of any format.
        workers: processes.

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
    if statistics.suggested_sizes_px:
        sizes = " ".join(f"{size:g}" for size in statistics.suggested_sizes_px)
        detail += f"; sizes {sizes} would give {statistics.suggested_share:.1%}"
    else:
        detail += "; no other sizes reach more at this stride"
    yield Finding("anchors miss boxes", "", detail)
