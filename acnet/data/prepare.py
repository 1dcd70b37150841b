"""ACNE04 to COCO files of whole photos and of tiles, as `acnet/data/register.py` expects them."""

import dataclasses
import functools
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acnet.data.coco import write_coco
from acnet.data.files import write_json, write_text
from acnet.data.images import UnreadableFileError
from acnet.data.layout import CLASS_NAMES, PreparedLayout
from acnet.data.parallel import map_photos
from acnet.data.readers.acne04 import Acne04Source, read_folds, read_photo
from acnet.data.records import ImageRecord, Note, Notes, TileRecord
from acnet.data.tile_coco import TileOptions, cut_photo, training_tiles
from acnet.errors import UserError

logger = logging.getLogger(__name__)

UNREADABLE = "photo dropped: unreadable"
SHOWN_ERRORS = 5


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """What decides the content of the prepared data set.

    Args:
        tiles: how photos are cut.
        empty_share: share of the tiles without boxes to train on, 0 to 1.
        folds: which of the source's folds; None for all.
        skip_unreadable: leave corrupt files out, instead of stopping after all were read.
        workers: processes.
    """

    tiles: TileOptions = dataclasses.field(default_factory=TileOptions)
    empty_share: float = 0.1
    folds: Sequence[int] | None = None
    skip_unreadable: bool = False
    workers: int = 1


@dataclass(frozen=True)
class PreparedPhoto:
    """What became of one listed photo.

    Args:
        photo: None where it was dropped.
        tiles: of the photo.
        notes: on what was dropped or changed.
        error: why the photo could not be read, empty where it could.
    """

    photo: ImageRecord | None
    tiles: list[TileRecord]
    notes: list[Note]
    error: str = ""


@dataclass(frozen=True)
class SplitCounts:
    """How much a split of a fold holds.

    Args:
        fold: 0 to 4.
        split: "trainval" or "test".
        photos: whole photos.
        boxes: on the photos.
        tiles: in the tiles' file.
        empty_tiles: of those, without boxes.
        tile_boxes: in the tiles; overlap counts a box more than once.
    """

    fold: int
    split: str
    photos: int
    boxes: int
    tiles: int
    empty_tiles: int
    tile_boxes: int


def prepare_acne04(
    source: Acne04Source, layout: PreparedLayout, options: PrepareOptions
) -> tuple[list[SplitCounts], Notes]:
    """Writes annotations, tiles, a log of what was dropped, and the manifest that completes them.

    Running it again writes the same files again. Until the manifest says that the set is complete,
    it cannot be loaded.

    Args:
        source: where ACNE04 is.
        layout: where the prepared set goes: a missing or empty folder, or an earlier one.
        options: how.

    Returns:
        Counts per fold and split, and notes on all that was dropped or changed.

    Raises:
        UserError: no photo is left, a fold does not exist, the folder holds something else, or a
            file is unreadable and `skip_unreadable` is off.
    """
    folds = _chosen_folds(read_folds(source), options.folds)
    _claim(layout)
    names = sorted({name for members in folds.values() for name in members})
    work = functools.partial(
        prepare_photo, source=source, tile_root=layout.tiles, options=options.tiles
    )
    prepared = map_photos(work, names, workers=options.workers, description="cutting tiles")
    notes = Notes([note for result in prepared for note in result.notes])
    write_text(layout.dropped, notes.text())
    _check_readable(prepared, layout, options.skip_unreadable)

    by_name = {result.photo.file_name: result for result in prepared if result.photo is not None}
    if not by_name:
        raise UserError(
            f"None of the {len(names)} listed photos has both a picture in {source.image_root} and "
            f"an annotation in {source.annotation_root}, see {layout.dropped}. Received an empty "
            "data set. Give the right folders by --image-root and --annotation-root."
        )
    counts = [
        _write_split(layout, split, fold, [by_name[n] for n in members if n in by_name], options)
        for (split, fold), members in folds.items()
    ]
    _remove_stale(layout, by_name.values(), counts)
    write_json(layout.manifest, _manifest(source, layout, options, counts, notes), indent=2)
    return counts, notes


def prepare_photo(
    file_name: str, *, source: Acne04Source, tile_root: Path, options: TileOptions
) -> PreparedPhoto:
    """Reads one photo's boxes and writes its tiles.

    Args:
        file_name: of the photo.
        source: where ACNE04 is.
        tile_root: folder of the tiles.
        options: how it is cut.

    Returns:
        What became of it; corrupt files are reported there, so that one does not hide the others.
    """
    try:
        photo, notes = read_photo(source, file_name)
        tiles = []
        if photo is not None:
            tiles = cut_photo(
                photo, image_root=source.image_root, tile_root=tile_root, options=options
            )
    except UnreadableFileError as error:
        return PreparedPhoto(None, [], [Note(UNREADABLE, file_name, str(error))], str(error))
    return PreparedPhoto(photo, tiles, notes)


def _chosen_folds(
    found: dict[tuple[str, int], list[str]], wanted: Sequence[int] | None
) -> dict[tuple[str, int], list[str]]:
    there = sorted({fold for _, fold in found})
    missing = sorted(set(wanted or []) - set(there))
    if missing:
        raise UserError(
            f"A fold needs both of its lists. Received folds {missing}; there are {there}. "
            "Choose among these by --folds."
        )
    return {key: names for key, names in found.items() if wanted is None or key[1] in wanted}


def _claim(layout: PreparedLayout) -> None:
    """Marks the folder as a prepared set that is not complete yet."""
    folder = layout.folder
    if not layout.manifest.is_file() and folder.exists() and any(folder.iterdir()):
        raise UserError(
            f"A data set is prepared in a folder of its own, lest other files are lost. Received "
            f"{folder}, which holds files and no manifest.json. Choose another --dst or --prefix."
        )
    write_json(layout.manifest, {"complete": False})


def _check_readable(
    prepared: Sequence[PreparedPhoto], layout: PreparedLayout, skip_unreadable: bool
) -> None:
    errors = [result.error for result in prepared if result.error]
    if errors and not skip_unreadable:
        shown = "\n  ".join(errors[:SHOWN_ERRORS])
        raise UserError(
            f"Every listed photo and annotation must be readable, or results could not be compared "
            f"with others'. Received {len(errors)} that are not, all listed in {layout.dropped}:\n"
            f"  {shown}\nReplace them, or leave them out by --skip-unreadable."
        )


def _write_split(
    layout: PreparedLayout,
    split: str,
    fold: int,
    members: Sequence[PreparedPhoto],
    options: PrepareOptions,
) -> SplitCounts:
    photos = [member.photo for member in members]
    tiles = [tile for member in members for tile in member.tiles]
    if split == "trainval":
        tiles = training_tiles(tiles, options.empty_share)
    photo_ids = write_coco(layout.annotations(split, fold), photos, CLASS_NAMES)
    tile_file = layout.annotations(split, fold, tiles=True)
    write_coco(tile_file, tiles, CLASS_NAMES, photo_ids=photo_ids)
    return SplitCounts(
        fold=fold,
        split=split,
        photos=len(photos),
        boxes=sum(len(photo.boxes_xyxy) for photo in photos),
        tiles=len(tiles),
        empty_tiles=sum(len(tile.boxes_xyxy) == 0 for tile in tiles),
        tile_boxes=sum(len(tile.boxes_xyxy) for tile in tiles),
    )


def _remove_stale(
    layout: PreparedLayout, prepared: Iterable[PreparedPhoto], counts: Iterable[SplitCounts]
) -> None:
    """Removes files of earlier options and what a kill left; the folders are this module's own."""
    wanted = {layout.tiles / tile.file_name for result in prepared for tile in result.tiles}
    for count in counts:
        wanted.add(layout.annotations(count.split, count.fold))
        wanted.add(layout.annotations(count.split, count.fold, tiles=True))
    for folder in (layout.tiles, layout.annotations_folder):
        for path in sorted(set(folder.iterdir()) - wanted):
            logger.info("removing %s, which is not of this set", path)
            path.unlink()


def _manifest(
    source: Acne04Source,
    layout: PreparedLayout,
    options: PrepareOptions,
    counts: Sequence[SplitCounts],
    notes: Notes,
) -> dict[str, Any]:
    return {
        "complete": True,
        "image_root": portable_path(source.image_root, layout),
        "annotation_root": portable_path(source.annotation_root, layout),
        "tiles": dataclasses.asdict(options.tiles),
        "empty_share": options.empty_share,
        "counts": [dataclasses.asdict(count) for count in counts],
        "dropped": notes.counts(),
    }


def portable_path(path: Path, layout: PreparedLayout) -> str:
    """Returns how the manifest names a folder: relative where both move together, else absolute.

    Args:
        path: the folder.
        layout: the prepared set.
    """
    path, root = path.absolute(), layout.root.absolute()
    return (
        os.path.relpath(path, layout.folder.absolute()) if path.is_relative_to(root) else str(path)
    )
