"""Any data set that has a reader to COCO files of whole photos, as `register.py` expects them."""

import filecmp
import functools
import logging
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tabulate import tabulate

from acnet.data.clean import (
    ClassMap,
    ReadPhoto,
    check_readable,
    check_unit,
    choose_classes,
    clean,
    read_photo,
)
from acnet.data.prepared_set import (
    TILES_SUFFIX,
    PreparedLayout,
    earlier_manifest,
    file_state,
    portable_path,
)
from acnet.data.readers.source import (
    Source,
    choose_splits,
    folder_prefixes,
    place_in_set,
    without_folders,
)
from acnet.data.records import COCO_MARKS, ImageRecord, Note, Notes, write_coco
from acnet.errors import UserError
from acnet.files import atomic_write, is_ours, map_photos, remove_stale, write_json, write_text

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What decides the content of a prepared set."""

    # Class by name as annotated, names that it lacks are left out; None for the format's default.
    class_map: Mapping[str, str] | None = None
    one_class: str | None = None  # takes every name into this one class
    splits: Sequence[str] | None = None  # which of the source's; None for all
    # Leave corrupt files out, instead of stopping after all were read.
    skip_unreadable: bool = False
    # Copy the photos into the prepared set, rather than leave them where they are.
    copy_images: bool = False
    workers: int = 1
    command: str = ""  # that repeats the import, for the manifest


@dataclass(frozen=True)
class ImportedSet:
    """A set as it was written, with notes on all that was left out or changed."""

    layout: PreparedLayout
    image_root: Path
    class_names: tuple[str, ...]
    splits: Mapping[str, Sequence[ImageRecord]]
    notes: Notes


def import_set(source: Source, layout: PreparedLayout, options: ImportOptions) -> ImportedSet:
    """Write annotations, a log of what was dropped, and the manifest that completes them.

    Running it again writes the same files again. Until the manifest says that the set is complete,
    it cannot be loaded. The folder is missing or empty, or that of an earlier prepared set, which
    stays complete until its first file is replaced.
    """
    wanted = choose_splits(source.splits, options.splits or ["*"])
    members = {split: source.splits[split] for split in wanted}
    check_apart(source, layout)
    earlier = claim(layout)
    names = sorted({name for listed in members.values() for name in listed})
    work = functools.partial(read_photo, source=source)
    read = list(map_photos(work, names, workers=options.workers, description="reading photos"))
    notes = portable([*source.notes, *(note for result in read for note in result.notes)], source)
    write_text(layout.dropped, notes.text())
    if not options.skip_unreadable:
        check_readable(read, layout)
    photos = [result.annotated for result in read if result.annotated is not None]
    _check_any(photos, names, source, layout)
    check_unit(photos, source)
    classes = choose_classes(
        source.class_names,
        (name for photo in photos for name in photo.names),
        format_name=source.format,
        wanted=options.class_map,
        one_class=options.one_class,
    )
    records, notes = _clean_all(read, classes, source)
    write_text(layout.dropped, notes.text())
    _check_any(records, names, source, layout)
    _check_boxes(records, layout)
    splits = {
        split: [records[name] for name in listed if name in records]
        for split, listed in members.items()
    }
    image_root = layout.images if options.copy_images else source.image_root
    imported = ImportedSet(layout, image_root, classes.class_names, splits, notes)
    states = dict(zip(names, (photo.state for photo in read), strict=True))
    pictures = {name: states[name] for name in records}
    manifest = _manifest(source, imported, options, pictures)
    has_copies = options.copy_images and earlier.get("image_root") == layout.images.name
    copies = earlier.get("pictures", {}) if has_copies else {}
    _check_replaced(source, imported, records.keys() - copies if options.copy_images else ())
    unfinished = {**manifest, "complete": False, "pictures": {**copies, **pictures}}
    write_json(layout.manifest, unfinished, indent=2)
    if options.copy_images:
        _copy_images(source, layout, records, copies)
    for split, listed in splits.items():
        write_coco(layout.annotations(split), listed, classes.class_names)
    _remove_stale(layout, splits)
    write_json(layout.manifest, manifest, indent=2)
    return imported


def claim(layout: PreparedLayout) -> dict[str, Any]:
    """Return the manifest of a folder's set; begin one where there is nothing else."""
    folder = layout.folder
    if folder.exists() and not folder.is_dir():
        raise UserError(
            f"A data set is written to a folder. Received {folder}, a file. Choose another."
        )
    remove_stale(folder)
    earlier = earlier_manifest(layout)
    if earlier is not None:
        return earlier
    if folder.exists() and any(folder.iterdir()):
        raise UserError(
            "A data set is prepared in a folder of its own, so that no other files are lost. "
            f"Received {folder}, which holds files and no manifest.json of a prepared set. Choose "
            "another folder."
        )
    write_json(layout.manifest, {"complete": False})
    return {}


def check_apart(source: Source, layout: PreparedLayout) -> None:
    """A set in its own source would be taken for a part of it the next time."""
    # Unlike Path.resolve, realpath does not mind links in circles.
    paths = (layout.folder, source.image_root, *source.inputs)
    folder, *read = (Path(os.path.realpath(path)) for path in paths)
    if folder.is_relative_to(read[0]) or any(path.is_relative_to(folder) for path in read):
        raise UserError(
            "A data set is imported to a folder apart from its source, so that neither is taken "
            f"for the other. Received {layout.folder} for photos in {source.image_root}. Choose "
            "another folder to write to."
        )


def _check_any(
    photos: Collection, names: Sequence[str], source: Source, layout: PreparedLayout
) -> None:
    if not photos:
        raise UserError(
            f"None of the {len(names)} listed photos has both a picture in {source.image_root} and "
            f"an annotation that fits it, see {layout.dropped}. Received an empty data set. Give "
            "the right folders by --image-root and --annotation-root."
        )


def _check_boxes(records: Mapping[str, ImageRecord], layout: PreparedLayout) -> None:
    if not any(len(record.boxes_xyxy) for record in records.values()):
        raise UserError(
            f"A data set has at least one box, or training would learn that lesions are skin. "
            f"Received {len(records)} photos without any; {layout.dropped} lists what was left "
            "out. Correct the annotations, or choose the format by --format."
        )


def _clean_all(
    read: Sequence[ReadPhoto], classes: ClassMap, source: Source
) -> tuple[dict[str, ImageRecord], Notes]:
    records, notes = {}, Notes(list(source.notes))
    for result in read:
        notes.extend(result.notes)
        if result.annotated is not None:
            record, found = clean(result.annotated, classes)
            notes.extend(found)
            if record is not None:
                records[record.file_name] = record
    return records, portable(notes.items, source)


def portable(notes: Sequence[Note], source: Source) -> Notes:
    """Where a data set lies is nobody's business: file names stay, folders go."""
    prefixes = folder_prefixes(source)
    return Notes([replace(note, detail=without_folders(note.detail, prefixes)) for note in notes])


def _check_replaced(source: Source, imported: ImportedSet, new_copies: Collection[str]) -> None:
    """Refuse to replace what neither an import wrote nor an earlier manifest names."""
    layout = imported.layout
    files = map(layout.annotations, imported.splits)
    others = [path for path in files if path.exists() and not is_ours(path, COCO_MARKS)]
    for name in sorted(new_copies):
        copy = layout.images / name
        if copy.exists() and not filecmp.cmp(copy, source.image_root / name, shallow=False):
            others.append(copy)
    if others:
        raise UserError(
            f"An import replaces only files of its own. Received {layout.folder}, which holds "
            f"{others[0]} of another origin. Choose another folder, or remove the file if an "
            "earlier import wrote it."
        )


def _copy_images(
    source: Source, layout: PreparedLayout, records: Collection[str], earlier: Collection[str]
) -> None:
    there = list(layout.images.rglob("*"))
    for folder in filter(Path.is_dir, (layout.images, *there)):
        remove_stale(folder)
    stale = {layout.images / name for name in earlier if name not in records}
    for path in filter(Path.is_file, stale.intersection(there)):
        path.unlink()
    for name in records:
        with atomic_write(layout.images / name) as temporary:
            shutil.copy2(source.image_root / name, temporary)  # with its time, for the manifest


def _remove_stale(layout: PreparedLayout, splits: Mapping[str, Sequence[ImageRecord]]) -> None:
    """Remove what imports with other options wrote, and what a kill left.

    That takes the tiles' annotations too: they were cut for the earlier content.
    """
    remove_stale(layout.annotations_folder)
    wanted = {layout.annotations(split) for split in splits}
    for path in sorted(set(layout.annotations_folder.iterdir()) - wanted):
        if is_ours(path, COCO_MARKS):
            if not path.stem.endswith(TILES_SUFFIX):
                logger.info("removing %s, which is not of this set", path)
            path.unlink()


def _manifest(
    source: Source, imported: ImportedSet, options: ImportOptions, pictures: Mapping[str, list]
) -> dict[str, Any]:
    layout = imported.layout
    return {
        "complete": True,
        "format": source.format,
        "image_root": portable_path(imported.image_root, layout),
        "class_names": list(imported.class_names),
        "command": options.command,
        "options": {
            "class_map": dict(options.class_map) if options.class_map is not None else None,
            "one_class": options.one_class,
            "splits": list(imported.splits),
            "skip_unreadable": options.skip_unreadable,
            "copy_images": options.copy_images,
        },
        "splits": {
            split: {"photos": len(records), "boxes": sum(len(one.boxes_xyxy) for one in records)}
            for split, records in imported.splits.items()
        },
        "dropped": imported.notes.counts(),
        "inputs": {
            portable_path(path, layout): file_state(path)
            for path in source.inputs
            if path.is_file()
        },
        "pictures": pictures,
    }


SHOWN_UNLISTED = 5


def import_report(imported: ImportedSet, source: Source) -> str:
    """Return what was written and left out; it says of no file where the set lies."""
    layout = imported.layout
    photos = {record.file_name: record for split in imported.splits.values() for record in split}
    named = {layout.dataset_name(split): records for split, records in imported.splits.items()}
    named["all, each once"] = photos.values()
    rows = [(name, *_counts(records)) for name, records in named.items()]
    parts = [
        tabulate(rows, ("data set", "photos", "boxes", "without boxes")),
        f"classes: {', '.join(imported.class_names)}",
    ]
    if counts := imported.notes.counts():
        parts.append(tabulate(counts.items(), ("dropped, changed or noted", "times")))
        parts.append(f"each is listed in {layout.dropped.name}")
    else:
        parts.append("nothing was dropped or changed")
    if source.unlisted:
        names = [place_in_set(path, source) for path in source.unlisted[:SHOWN_UNLISTED]]
        more = len(source.unlisted) - len(names)
        rest = [f"and {more} more"] if more else []
        parts.append("\n  ".join([f"not part of the set ({len(source.unlisted)}):", *names, *rest]))
    parts.append(f"read as {source.format}, written to {layout.prefix}")
    return "\n\n".join(parts) + "\n"


def _counts(records: Collection[ImageRecord]) -> tuple[int, int, int]:
    """Photos, boxes, and photos without a box."""
    boxes = [len(record.boxes_xyxy) for record in records]
    return len(boxes), sum(boxes), boxes.count(0)
