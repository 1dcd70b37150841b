"""The whole audit: every photo read once, every check on it, the report, and a cleaned copy.

Where a data set lies is nobody's business: reports are passed on, so folders are left out of them.
"""

import functools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
from tabulate import tabulate

from acnet.data.audit.checks import (
    check_boxes,
    check_ids,
    check_names,
    check_photo_labels,
    exact_copies,
)
from acnet.data.audit.examination import Photo, examine, note_finding
from acnet.data.audit.findings import (
    KINDS,
    PERCENTS,
    Finding,
    Report,
    Statistics,
    describe,
    quantiles,
    sort_findings,
)
from acnet.data.audit.twins import Leak, Twins, check_twins, find_twins, shared_photos, straddling
from acnet.data.import_set import ImportOptions, import_set, portable
from acnet.data.prepared_set import PreparedLayout, file_state, read_manifest
from acnet.data.readers.source import Source, folder_prefixes, place_in_set, without_folders
from acnet.data.records import Annotated, Note
from acnet.errors import printable, shorten
from acnet.files import atomic_write, map_photos, write_json, write_text
from acnet.photos.decode import UPRIGHT_BY_ORIENTATION, upright
from acnet.photos.read import open_image

ENOUGH_BOXES_REACHED = 0.9  # by anchors


@dataclass(frozen=True)
class Audit:
    """A report, and what it was made from, for the page and for cleaning."""

    report: Report
    photos: Sequence[Photo]
    twins: Sequence[Twins]


def audit_source(source: Source, *, workers: int = 1) -> Audit:
    """Look for all faults of `KINDS` in a data set, and how well the paper's anchors fit."""
    photos = examine_all(source, workers=workers)
    annotated = [photo.annotated for photo in photos if photo.annotated is not None]
    twins = find_twins(photos)
    statistics = describe(annotated, source.splits)
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
    """Read every photo that a split lists, in order of their file names."""
    names = sorted({name for members in source.splits.values() for name in members})
    work = functools.partial(examine, source=source)
    return list(map_photos(work, names, workers=workers, description="reading photos"))


def _check_lists(source: Source) -> Iterator[Finding]:
    for path in sorted(source.unlisted):
        yield Finding("file without partner", place_in_set(path, source))
    yield from map(note_finding, source.notes)
    for leak in shared_photos(source.splits):
        yield Finding("photo in two parts", leak.file_name, f"{leak.split} and {leak.twin_split}")


def _check_anchors(statistics: Statistics) -> Iterator[Finding]:
    share = statistics.anchor_share
    if share is not None and share < ENOUGH_BOXES_REACHED:
        detail = f"{share:.1%} of the boxes have an anchor with an IoU of 0.5"
        yield Finding("anchors miss boxes", "", detail)


SHOWN_FINDINGS = 5  # of each kind
SHOWN_NAMES = 20


def report_text(report: Report) -> str:
    """Write what the set holds, what is wrong with it and what to do, for people."""
    parts = [f"{name}: {value}" for name, value in holdings(report.statistics)]
    for split, size in report.statistics.splits.items():
        parts.append(f"  {printable(split)}: {size.photos:,} photos, {size.boxes:,} boxes")
    of_kind = {kind: [f for f in report.findings if f.kind == kind] for kind in report.counts()}
    rows = [
        (KINDS[kind].severity, kind, len(found), sum(f.number for f in found), KINDS[kind].remedy)
        for kind, found in of_kind.items()
    ]
    headers = ("severity", "kind", "findings", "objects", "remedy")
    parts += ["", tabulate(rows, headers=headers) if rows else "Nothing was found."]
    for kind, found in of_kind.items():
        parts += ["", f"{kind}:", *_lines(found)]
    return "\n".join(parts) + "\n"


def holdings(statistics: Statistics) -> Iterator[tuple[str, str]]:
    """Yield what the set holds but for its splits, each with its name."""
    grades = ", ".join(f"{grade}: {n:,}" for grade, n in statistics.photos_by_grade.items())
    yield "Photos", f"{statistics.photos:,}, {statistics.photos - statistics.read:,} unusable"
    yield "Boxes", f"{statistics.boxes:,}"
    names = (f"{printable(name)} {number:,}" for name, number in statistics.names.items())
    yield "Names", shorten(names, SHOWN_NAMES)
    yield "Photos by grade", grades or "none"
    yield "Boxes a photo", _percentiles(statistics.counts)
    yield "Box sizes in px, root of the area", _percentiles(statistics.sizes_px)
    if statistics.anchor_share is not None:
        share = f"{statistics.anchor_share:.1%}"
        yield "Boxes that an anchor of the paper's meets at IoU 0.5", share


def _percentiles(values: np.ndarray) -> str:
    """Write the 5th, 50th and 95th percentile, such as "5/50/95 %: 3/10/30"."""
    numbers = "/".join(f"{value:.0f}" for value in quantiles(values))
    return f"{'/'.join(map(str, PERCENTS))} %: {numbers or 'none'}"


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings[:SHOWN_FINDINGS]:
        names = " = ".join((finding.file_name, *finding.others))
        yield "  " + printable(": ".join(filter(None, (names, finding.detail))).replace("\n", " "))
    if len(findings) > SHOWN_FINDINGS:
        yield f"  and {len(findings) - SHOWN_FINDINGS:,} more"


COPIES = "box dropped: the same as another"
LEAK = "photo taken out of a part: its twin is in a part that must not know it"
UPRIGHT = "picture stored upright"
RENUMBERED = "annotations numbered anew from 1"
UNDECIDED = "left as it is: twins labelled differently"
SAVE_OPTIONS = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}


@dataclass(frozen=True, kw_only=True)
class CleanedSource(Source):
    """A source without exact copies of boxes; what else is wrong with boxes the import corrects."""

    base: Source

    def read(self, file_name: str) -> Annotated:
        """Read one picture's size and annotation, and drop the copies."""
        return without_copies(self.base.read(file_name))


def write_cleaned(
    dst: Path,
    source: Source,
    audit: Audit,
    *,
    copy_photos: bool = True,
    workers: int = 1,
    command: str = "",
) -> list[Note]:
    """Write a prepared set in which the errors that have one remedy are corrected.

    A photo in a training part whose twin is in a validation or test part is taken out of training,
    and one in validation whose twin is in test out of validation: what is tested on stays as it
    was published. Where twins are labelled differently, nobody but a person can say which is right,
    so they are listed only.

    Photos are copied, the sideways ones upright, or stay where they are. Returns every change, as
    written to `changes.txt` and `changes.json` in the folder.
    """
    layout = PreparedLayout.of_folder(dst)
    splits, notes = _choose_photos(source, audit)
    common = {field.name: getattr(source, field.name) for field in fields(Source)}
    changed = {"splits": splits, "notes": [*source.notes, *notes]}
    cleaned = CleanedSource(**{**common, **changed}, base=source)
    options = ImportOptions(copy_images=copy_photos, workers=workers, command=command)
    imported = import_set(cleaned, layout, options)
    changes = [*imported.notes.items, *_other_notes(audit)]
    if copy_photos:
        kept = {name for names in splits.values() for name in names}
        photos = [photo for photo in audit.photos if photo.file_name in kept]
        sideways = [photo for photo in photos if photo.orientation in UPRIGHT_BY_ORIENTATION]
        changes += _store_upright(sideways, source, layout)
    notes = portable(changes, source)
    write_text(layout.folder / "changes.txt", notes.text())
    write_json(layout.folder / "changes.json", [asdict(note) for note in notes.items], indent=2)
    return notes.items


def without_copies(photo: Annotated) -> Annotated:
    """Drop each box that an earlier one equals in name and every number; a note counts them."""
    copies = exact_copies(photo)
    if not copies.any():
        return photo
    kept = np.flatnonzero(~copies)
    ids, crowd, difficult = photo.annotation_ids, photo.crowd, photo.difficult
    note = Note(COPIES, photo.file_name, count=int(copies.sum()))
    return replace(
        photo,
        names=tuple(photo.names[i] for i in kept),
        boxes_xyxy=photo.boxes_xyxy[kept],
        annotation_ids=tuple(ids[i] for i in kept) if ids else (),
        crowd=crowd[kept] if len(crowd) else crowd,
        difficult=difficult[kept] if len(difficult) else difficult,
        notes=(*photo.notes, note),
    )


def _choose_photos(source: Source, audit: Audit) -> tuple[dict[str, list[str]], list[Note]]:
    """Take out what cannot be used, then what straddles parts."""
    unusable = {p.file_name: p.findings for p in audit.photos if p.annotated is None}
    notes = [
        Note(f"photo left out: {'; '.join(finding.kind for finding in findings)}", name)
        for name, findings in unusable.items()
    ]
    members = {split: set(names) - unusable.keys() for split, names in source.splits.items()}
    for leak in _leaks(audit, members):
        notes.append(Note(LEAK, leak.file_name, str(leak)))
        members[leak.split].discard(leak.file_name)
    return {split: sorted(names) for split, names in members.items()}, notes


def _leaks(audit: Audit, members: Mapping[str, set[str]]) -> list[Leak]:
    """One for each photo and part that it has to leave, sorted."""
    found = shared_photos({split: sorted(names) for split, names in members.items()})
    for group in audit.twins:
        found += straddling(group, members)
    first = {(leak.split, leak.file_name): leak for leak in reversed(found)}
    return [first[key] for key in sorted(first)]


def _other_notes(audit: Audit) -> list[Note]:
    notes = []
    for finding in audit.report.findings:
        if finding.kind == "twins labelled differently":
            names = " = ".join((finding.file_name, *finding.others))
            notes.append(Note(UNDECIDED, finding.file_name, f"{names}: {finding.detail}"))
        elif finding.kind.startswith("annotation id"):
            notes.append(Note(RENUMBERED, finding.file_name, finding.detail, finding.number))
    return notes


def _store_upright(photos: Sequence[Photo], source: Source, layout: PreparedLayout) -> list[Note]:
    """Replace the copies of photos whose EXIF block says how to turn them."""
    states = {}
    for photo in photos:
        path = layout.images / photo.file_name
        with open_image(source.image_root / photo.file_name) as image, atomic_write(path) as file:
            options = SAVE_OPTIONS.get(image.format, {})
            profile = image.info.get("icc_profile")
            upright(image).save(file, image.format, exif=b"", icc_profile=profile, **options)
        shutil.copystat(source.image_root / photo.file_name, path)  # as the copied ones have it
        states[photo.file_name] = file_state(path)
    if states:
        manifest = read_manifest(layout)
        manifest["pictures"].update(states)
        write_json(layout.manifest, manifest, indent=2)
    return [
        Note(UPRIGHT, photo.file_name, f"EXIF orientation {photo.orientation}") for photo in photos
    ]
