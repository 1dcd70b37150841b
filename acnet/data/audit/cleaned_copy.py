"""A cleaned copy of a data set, and a list of every difference; the original is only read."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from acnet.data.audit.checks import exact_copies
from acnet.data.audit.data_audit import Audit
from acnet.data.audit.examination import Photo
from acnet.data.audit.twins import Leak, shared_photos, straddling
from acnet.data.import_set import ImportOptions, import_set
from acnet.data.prepared_set import PreparedLayout, file_state, pictures_by_name, read_manifest
from acnet.data.readers.source import RearrangedSource, Source, folder_prefixes, without_folders
from acnet.data.records import Annotated, Note, Notes
from acnet.files import atomic_write, write_json, write_text
from acnet.photos.decode import UPRIGHT_BY_ORIENTATION, upright
from acnet.photos.read import open_image

CHANGES_TEXT = "changes.txt"
CHANGES_JSON = "changes.json"
COPIES = "box dropped: the same as another"
LEAK = "photo taken out of a part: its twin is in a part that must not know it"
UPRIGHT = "picture stored upright"
RENUMBERED = "annotations numbered anew from 1"
UNDECIDED = "left as it is: twins labelled differently"
SAVE_OPTIONS = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}


@dataclass(frozen=True)
class CleanedSource(RearrangedSource):
    """A source without exact copies of boxes; what else is wrong with boxes the import corrects."""

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

    Args:
        dst: folder of the set: missing, empty or an earlier one.
        source: the data set.
        audit: of this source.
        copy_photos: copy the photos, the sideways ones upright; else they stay where they are.
        workers: processes.
        command: that does it again, for the manifest.

    Returns:
        Every change, as written to `changes.txt` and `changes.json` in the folder.

    Raises:
        UserError: the folder holds or is part of the source, or no photo is left.
    """
    layout = PreparedLayout.of_folder(dst)
    splits, notes = _choose_photos(source, audit)
    cleaned = CleanedSource(source, splits, [*source.notes, *notes])
    options = ImportOptions(copy_images=copy_photos, workers=workers, command=command)
    imported = import_set(cleaned, layout, options)
    changes = [*imported.notes.items, *_other_notes(audit)]
    if copy_photos:
        kept = {name for names in splits.values() for name in names}
        sideways = [p for p in audit.photos if p.file_name in kept and _is_sideways(p)]
        changes += _store_upright(sideways, source, layout)
    prefixes = folder_prefixes(source)
    changes = [replace(note, detail=without_folders(note.detail, prefixes)) for note in changes]
    write_text(layout.folder / CHANGES_TEXT, Notes(changes).text())
    rows = [asdict(note) for note in changes]
    write_json(layout.folder / CHANGES_JSON, rows, indent=2)
    return changes


def without_copies(photo: Annotated) -> Annotated:
    """Drop each box that an earlier one of the same name equals in every number.

    Returns:
        The photo with the first of each, and a note on the others.
    """
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
    notes = []
    unusable = {photo.file_name for photo in audit.photos if photo.annotated is None}
    for photo in audit.photos:
        if photo.annotated is None:
            why = "; ".join(finding.kind for finding in photo.findings)
            notes.append(Note(f"photo left out: {why}", photo.file_name))
    members = {
        split: {name for name in names if name not in unusable}
        for split, names in source.splits.items()
    }
    for leak in _leaks(audit, members):
        notes.append(Note(LEAK, leak.file_name, str(leak)))
        members[leak.split].discard(leak.file_name)
    return {split: sorted(names) for split, names in members.items()}, notes


def _leaks(audit: Audit, members: Mapping[str, set[str]]) -> list[Leak]:
    """One for each photo and part that it has to leave, sorted."""
    found = shared_photos({split: sorted(names) for split, names in members.items()})
    for group in audit.twins:
        found += straddling(group, members)
    first = {}
    for leak in found:
        first.setdefault((leak.split, leak.file_name), leak)
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


def _is_sideways(photo: Photo) -> bool:
    return photo.annotated is not None and photo.orientation in UPRIGHT_BY_ORIENTATION


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
        manifest["pictures"].update(pictures_by_name(states))
        write_json(layout.manifest, manifest, indent=2)
    return [
        Note(UPRIGHT, photo.file_name, f"EXIF orientation {photo.orientation}") for photo in photos
    ]
