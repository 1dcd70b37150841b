"""A prepared set in tiles: `tiles/`, and `annotations/{split}_tiles.json` for each split.

The manifest's entry `tiles` completes them. It is removed before any file is touched and written
when all are there, so that half a set never loads; `tiles.jsonl` is the journal by which a killed
run goes on.
"""

import dataclasses
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import PIL
from tabulate import tabulate

from acnet.data.prepared_set import TILES_SUFFIX, PreparedLayout, check_fresh, read_manifest
from acnet.data.readers.source import choose_splits
from acnet.data.records import read_photo_split, write_coco
from acnet.data.tiles.tile_plan import (
    PNG_LEVEL,
    CutPhoto,
    Journal,
    Photo,
    TileOptions,
    choose_tiles,
    cut_photo,
    photos_to_cut,
)
from acnet.errors import UnreadableFileError, UserError
from acnet.files import map_photos, remove_stale, write_json


@dataclass(frozen=True)
class TileCounts:
    """How much a split holds; overlap counts a box more than once in `tile_boxes`."""

    split: str
    photos: int
    boxes: int
    tiles: int
    empty_tiles: int
    tile_boxes: int


def counts_table(counts: Iterable[TileCounts], layout: PreparedLayout) -> str:
    """Return a table of the splits, by the names that they are registered under."""
    rows = [(layout.dataset_name(count.split), *dataclasses.astuple(count)[1:]) for count in counts]
    return tabulate(rows, ("data set", "photos", "boxes", "tiles", "of them empty", "their boxes"))


FORMAT_VERSION = 1  # rises when the same photos and options give other tiles
SHOWN_ERRORS = 5


def tile_set(
    layout: PreparedLayout,
    options: TileOptions,
    *,
    splits: Sequence[str] = ("*",),
    workers: int = 1,
) -> list[TileCounts]:
    """Cut the photos of a prepared set; returns counts by split, in the set's order.

    Running it again writes the same bytes again, and cuts only photos whose tiles are missing or
    were cut otherwise. Tiles that this run does not ask for are removed. The workers are threads,
    in each of which one photo at a time is decoded.
    """
    _check_places(layout)
    manifest = read_manifest(layout)
    there = list(manifest.get("splits", ()))
    for name in there:
        if Path(name).name != name:
            raise UserError(
                "A split is the name of a file, so that no others are written. Received "
                f"{name!r} in the manifest. Import the data set again."
            )
    names = choose_splits(there, splits)
    read = {split: read_photo_split(layout.annotations(split)) for split in names}
    photos = {split: content.records for split, content in read.items()}
    chosen = choose_tiles(photos, options)
    to_cut = photos_to_cut(photos, chosen)
    check_fresh(layout, manifest, [photo.file_name for photo in to_cut])

    for folder in (layout.folder, layout.annotations_folder):
        remove_stale(folder)
    manifest.pop("tiles", None)
    write_json(layout.manifest, manifest, indent=2)
    for path in sorted(layout.annotations_folder.glob(f"*{TILES_SUFFIX}.json")):
        path.unlink()
    image_root = layout.folder / manifest["image_root"]
    cut = _cut_all(to_cut, image_root, layout, options, workers)
    _remove_stale(layout.tiles, {name for photo in cut for name in photo.tiles})
    counts = []
    for split, content in read.items():
        tiles_file = layout.annotations(split, tiles=True)
        write_coco(tiles_file, chosen[split], content.class_names, photo_ids=content.photo_ids)
        boxes = [len(tile.boxes_xyxy) for tile in chosen[split]]
        counts.append(
            TileCounts(
                split=split,
                photos=len(content.records),
                boxes=sum(len(photo.boxes_xyxy) for photo in content.records),
                tiles=len(boxes),
                empty_tiles=boxes.count(0),
                tile_boxes=sum(boxes),
            )
        )
    manifest["tiles"] = {
        "options": dataclasses.asdict(options),
        "splits": {count.split: dataclasses.asdict(count) for count in counts},
        "annotations_sha256": {split: content.sha256 for split, content in read.items()},
    }
    write_json(layout.manifest, manifest, indent=2)
    return counts


def _check_places(layout: PreparedLayout) -> None:
    """Nothing is written through a symbolic link out of the set, which may come from anybody."""
    for folder in (layout.annotations_folder, layout.tiles):
        if not folder.resolve().is_relative_to(layout.folder.resolve()):
            raise UserError(
                f"A prepared set is one folder, so that no others are overwritten. Received "
                f"{folder}, a link to {folder.resolve()}. Move the whole set there instead."
            )
    for folder, folders, files in os.walk(layout.tiles):
        for path in (Path(folder, name) for name in (*folders, *files)):
            if path.is_symlink():
                path.unlink()


def _cut_all(
    photos: Sequence[Photo],
    image_root: Path,
    layout: PreparedLayout,
    options: TileOptions,
    workers: int,
) -> list[CutPhoto]:
    journal = Journal(layout.folder / "tiles.jsonl", _made_with(options))
    places = {"image_root": image_root, "tile_root": layout.tiles}

    def work(photo: Photo) -> CutPhoto | str:
        known = journal.known.get(photo.file_name)
        try:
            return cut_photo(photo, **places, options=options, known=known)
        except (UnreadableFileError, FileNotFoundError) as error:
            return str(error)  # rather than raised, so that one does not hide the others

    results, errors = [], []
    try:
        for result in map_photos(work, photos, workers=workers, description="cutting tiles"):
            if isinstance(result, str):
                errors.append(result)
            else:
                results.append(result)
                journal.add(result)
    except OSError as error:
        raise UserError(
            f"Photos must be readable, and {layout.folder} must hold the tiles. Received {error}. "
            "Correct that and run it again, which continues from here, or use --virtual."
        ) from error
    if errors:
        shown = "\n  ".join(sorted(errors)[:SHOWN_ERRORS])
        raise UserError(
            f"Every photo of a prepared set must be readable. Received {len(errors)} that are not:"
            f"\n  {shown}\nReplace them, or import the data set again without them."
        )
    journal.finish(results)
    return results


def _made_with(options: TileOptions) -> dict[str, Any]:
    """All that decides a tile's bytes but its photo and its name; other encoders, other bytes."""
    is_png = options.suffix == ".png"
    return {
        "format": FORMAT_VERSION,
        "suffix": options.suffix,
        "virtual": options.virtual,
        "tile_px": options.tile_px,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
        **({"png_level": PNG_LEVEL} if is_png else {"jpeg_quality": options.jpeg_quality}),
    }


def _remove_stale(tile_root: Path, wanted: set[str]) -> None:
    """Remove tiles of earlier options and what a kill left; the folder is this module's own."""
    for folder, _, files in os.walk(tile_root, topdown=False):
        place = Path(folder)
        for name in files:
            if (place.relative_to(tile_root) / name).as_posix() not in wanted:
                (place / name).unlink()
        if not any(place.iterdir()):
            place.rmdir()
