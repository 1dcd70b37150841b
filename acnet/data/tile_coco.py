"""Cutting photos into tiles, once for all folds, and choosing the tiles to train on."""

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from acnet.data.files import atomic_write
from acnet.data.images import UnreadableFileError, read_bgr, write_jpeg
from acnet.data.records import ImageRecord, TileRecord, pick_flags
from acnet.tiling.clip import MIN_SHARE, clip_boxes
from acnet.tiling.grid import OVERLAP_PX, TILE_PX, tile_grid

HASH_BITS = 64


@dataclass(frozen=True, kw_only=True)
class TileOptions:
    """How photos are cut.

    Args:
        tile_px: side of the square tiles.
        overlap_px: what neighbours share, at least.
        min_share: share of a box's area that a tile must hold to keep the box.
        jpeg_quality: 1 to 100. NOT IN PAPER: 95 keeps a second compression below what is seen.
    """

    tile_px: int = TILE_PX
    overlap_px: int = OVERLAP_PX
    min_share: float = MIN_SHARE
    jpeg_quality: int = 95


def plan_tiles(photo: ImageRecord, options: TileOptions) -> list[TileRecord]:
    """Lays the tiles over a photo and shares its boxes out, without touching a picture.

    Args:
        photo: with its boxes.
        options: how it is cut.

    Returns:
        The tiles row by row, those without boxes too.
    """
    tiles = tile_grid(
        (photo.height, photo.width), tile_px=options.tile_px, overlap_px=options.overlap_px
    )
    return [_plan_tile(photo, tile, len(tiles) == 1, options) for tile in tiles]


def _plan_tile(
    photo: ImageRecord, tile_xyxy: np.ndarray, is_whole: bool, options: TileOptions
) -> TileRecord:
    boxes, kept = clip_boxes(photo.boxes_xyxy, tile_xyxy, min_share=options.min_share)
    left, top, right, bottom = tile_xyxy.tolist()
    name = PurePosixPath(photo.file_name)
    # Leading zeros make the order of the names that of the rows and columns.
    tile_name = name if is_whole else name.with_name(f"{name.stem}_y{top:05d}_x{left:05d}.jpg")
    return TileRecord(
        file_name=str(tile_name),
        width=right - left,
        height=bottom - top,
        boxes_xyxy=boxes,
        classes=photo.classes[kept],
        crowd=pick_flags(photo.crowd, kept),
        difficult=pick_flags(photo.difficult, kept),
        photo_file_name=photo.file_name,
        offset_xy=(left, top),
    )


def cut_photo(
    photo: ImageRecord, *, image_root: Path, tile_root: Path, options: TileOptions
) -> list[TileRecord]:
    """Writes the tiles of one photo.

    A photo that is one tile is copied byte for byte: compressing it again would only lose.

    Args:
        photo: with its boxes.
        image_root: folder of the photo.
        tile_root: folder of the tiles.
        options: how it is cut.

    Returns:
        The tiles, as `plan_tiles` gives them.

    Raises:
        UnreadableFileError: the photo does not decode whole, or its size is not the record's.
    """
    source = image_root / photo.file_name
    image = read_bgr(source)
    if image.shape[:2] != (photo.height, photo.width):
        raise UnreadableFileError(
            f"A photo must keep its size while it is cut. Received {source}: {image.shape[:2]} "
            f"(H, W) instead of {(photo.height, photo.width)}. Prepare the data set again."
        )
    tiles = plan_tiles(photo, options)
    for tile in tiles:
        target = tile_root / tile.file_name
        if len(tiles) == 1:
            with atomic_write(target) as temporary:
                shutil.copyfile(source, temporary)
        else:
            x, y = tile.offset_xy
            window = image[y : y + tile.height, x : x + tile.width]
            write_jpeg(target, window, options.jpeg_quality)
    return tiles


def training_tiles(tiles: Iterable[TileRecord], empty_share: float) -> list[TileRecord]:
    """Chooses the tiles to train on: all with boxes, and a share of the others.

    NOT IN PAPER: about 65 % of ACNE04's tiles are empty; all of them would cost two thirds of the
    training, and none would leave hair and mouths unseen.

    Args:
        tiles: to choose from.
        empty_share: 0 to 1, of the tiles without boxes.

    Returns:
        The chosen tiles in their order. Chance decides for each empty tile by its name, so that a
        tile is in or out in all folds alike, whatever other photos there are.
    """
    return [tile for tile in tiles if len(tile.boxes_xyxy) or _chance(tile) < empty_share]


def _chance(tile: TileRecord) -> float:
    digest = hashlib.sha256(tile.file_name.encode()).digest()
    return int.from_bytes(digest[: HASH_BITS // 8], "big") / 2**HASH_BITS
