"""Which tiles a photo has, what they are called, which boxes they hold and which are trained on."""

import hashlib
from collections.abc import Iterable
from pathlib import PurePosixPath

from acnet.data.records import ImageRecord, TileRecord, pick_flags
from acnet.data.tiles.options import TileOptions
from acnet.tiling.clip import clip_boxes_to_tiles
from acnet.tiling.grid import tile_grid

HASH_BITS = 64


def plan_tiles(photo: ImageRecord, options: TileOptions) -> list[TileRecord]:
    """Lays the tiles over a photo and shares its boxes out, without touching a picture.

    Args:
        photo: with its boxes.
        options: how it is cut.

    Returns:
        The tiles row by row, those without boxes too. A photo that is one tile keeps its name.
    """
    tiles = tile_grid(
        (photo.height, photo.width), tile_px=options.tile_px, overlap_px=options.overlap_px
    )
    stem = str(PurePosixPath(photo.file_name).with_suffix(""))
    clipped = clip_boxes_to_tiles(photo.boxes_xyxy, tiles, min_share=options.min_share)
    records = []
    for (left, top, right, bottom), (boxes, kept) in zip(tiles.tolist(), clipped, strict=True):
        # Leading zeros make the order of the names that of the rows and columns.
        cut_name = f"{stem}_y{top:05d}_x{left:05d}{options.suffix}"
        tile = TileRecord(
            file_name=photo.file_name if len(tiles) == 1 else cut_name,
            width=right - left,
            height=bottom - top,
            boxes_xyxy=boxes,
            classes=photo.classes[kept],
            crowd=pick_flags(photo.crowd, kept),
            difficult=pick_flags(photo.difficult, kept),
            photo_file_name=photo.file_name,
            offset_xy=(left, top),
        )
        records.append(tile)
    return records


def training_tiles(tiles: Iterable[TileRecord], empty_share: float) -> list[TileRecord]:
    """Chooses the tiles to train on: all with boxes, and a share of the others.

    NOT IN PAPER: about 65 % of ACNE04's tiles are empty; all of them would cost two thirds of the
    training, and none would leave hair and mouths unseen.

    Args:
        tiles: to choose from.
        empty_share: 0 to 1, of the tiles without boxes.

    Returns:
        The chosen tiles in their order. Chance decides for each empty tile by its name, so that a
        tile is in or out in all folds and formats alike, whatever other photos there are.
    """
    return [tile for tile in tiles if len(tile.boxes_xyxy) or _chance(tile) < empty_share]


def _chance(tile: TileRecord) -> float:
    name = PurePosixPath(tile.file_name).with_suffix(".jpg")
    digest = hashlib.sha256(str(name).encode()).digest()
    return int.from_bytes(digest[: HASH_BITS // 8], "big") / 2**HASH_BITS
