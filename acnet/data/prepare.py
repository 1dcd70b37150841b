"""ACNE04 to COCO files of whole photos and of tiles, as `acnet/data/register.py` expects them."""

import dataclasses
import functools
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from acnet.data.coco import image_ids, write_coco
from acnet.data.files import write_json
from acnet.data.import_set import ImportedSet, ImportOptions, import_set
from acnet.data.layout import PreparedLayout
from acnet.data.parallel import map_photos
from acnet.data.readers.acne04 import Acne04Source
from acnet.data.records import ImageRecord, Notes, TileRecord
from acnet.data.tile_coco import TileOptions, cut_photo, training_tiles
from acnet.errors import UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """What decides the content of the prepared data set.

    Args:
        tiles: how photos are cut.
        empty_share: share of the tiles without boxes to train on, 0 to 1.
        folds: which of the source's folds; None for all.
        skip_unreadable: leave corrupt files out, instead of stopping after all were read.
        workers: processes.
        command: that repeats the preparation, for the manifest.
    """

    tiles: TileOptions = dataclasses.field(default_factory=TileOptions)
    empty_share: float = 0.1
    folds: Sequence[int] | None = None
    skip_unreadable: bool = False
    workers: int = 1
    command: str = ""


@dataclass(frozen=True)
class SplitCounts:
    """How much a split holds.

    Args:
        split: such as "trainval_0".
        photos: whole photos.
        boxes: on the photos.
        tiles: in the tiles' file.
        empty_tiles: of those, without boxes.
        tile_boxes: in the tiles; overlap counts a box more than once.
    """

    split: str
    photos: int
    boxes: int
    tiles: int
    empty_tiles: int
    tile_boxes: int


def prepare_acne04(
    source: Acne04Source, layout: PreparedLayout, options: PrepareOptions
) -> tuple[list[SplitCounts], Notes]:
    """Imports the photos' annotations, then cuts tiles.

    Running it again writes the same files again. What an interruption leaves unfinished cannot be
    loaded.

    Args:
        source: where ACNE04 is.
        layout: where the prepared set goes: a missing or empty folder, or an earlier one.
        options: how.

    Returns:
        Counts per split, and notes on all that was dropped or changed.

    Raises:
        UserError: see `import_set`, or a fold does not exist.
    """
    import_options = ImportOptions(
        splits=_splits_of_folds(source, options.folds),
        skip_unreadable=options.skip_unreadable,
        workers=options.workers,
        command=options.command,
    )
    imported = import_set(source, layout, import_options)
    return _write_tiles(imported, options), imported.notes


def _splits_of_folds(source: Acne04Source, folds: Sequence[int] | None) -> list[str] | None:
    there = sorted({int(split.rsplit("_", 1)[1]) for split in source.splits})
    missing = sorted(set(folds or []) - set(there))
    if missing:
        raise UserError(
            f"A fold needs both of its lists. Received folds {missing}; there are {there}. "
            "Choose among these by --folds."
        )
    if folds is None:
        return None
    return [split for split in source.splits if int(split.rsplit("_", 1)[1]) in folds]


def _write_tiles(imported: ImportedSet, options: PrepareOptions) -> list[SplitCounts]:
    layout = imported.layout
    photos = {record.file_name: record for split in imported.splits.values() for record in split}
    names = sorted(photos)
    work = functools.partial(
        cut_photo, image_root=imported.image_root, tile_root=layout.tiles, options=options.tiles
    )
    cut = map_photos(
        work, [photos[name] for name in names], workers=options.workers, description="cutting tiles"
    )
    tiles = dict(zip(names, cut, strict=True))
    counts = [
        _write_split(imported, split, [tiles[photo.file_name] for photo in records], options)
        for split, records in imported.splits.items()
    ]
    _remove_stale(layout, cut)
    manifest = json.loads(layout.manifest.read_text(encoding="utf-8"))
    manifest["tiles"] = dataclasses.asdict(options.tiles)
    manifest["empty_share"] = options.empty_share
    manifest["counts"] = [dataclasses.asdict(count) for count in counts]
    write_json(layout.manifest, manifest, indent=2)
    return counts


def _write_split(
    imported: ImportedSet,
    split: str,
    tiles_of_photos: Sequence[Sequence[TileRecord]],
    options: PrepareOptions,
) -> SplitCounts:
    photos: Sequence[ImageRecord] = imported.splits[split]
    tiles = [tile for photo in tiles_of_photos for tile in photo]
    if split.startswith("train"):
        tiles = training_tiles(tiles, options.empty_share)
    tile_file = imported.layout.annotations(split, tiles=True)
    write_coco(tile_file, tiles, imported.class_names, photo_ids=image_ids(photos))
    return SplitCounts(
        split=split,
        photos=len(photos),
        boxes=sum(len(photo.boxes_xyxy) for photo in photos),
        tiles=len(tiles),
        empty_tiles=sum(len(tile.boxes_xyxy) == 0 for tile in tiles),
        tile_boxes=sum(len(tile.boxes_xyxy) for tile in tiles),
    )


def _remove_stale(layout: PreparedLayout, cut: Iterable[Sequence[TileRecord]]) -> None:
    """Removes tiles of earlier options and what a kill left; the folder is this module's own."""
    wanted = {layout.tiles / tile.file_name for tiles in cut for tile in tiles}
    for path in sorted(set(layout.tiles.iterdir()) - wanted):
        logger.info("removing %s, which is not of this set", path)
        path.unlink()
