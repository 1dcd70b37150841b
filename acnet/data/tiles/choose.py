"""The tiles that each split takes, and from them what is to be cut of each photo, once for all."""

from collections.abc import Mapping, Sequence

import numpy as np

from acnet.data.records import ImageRecord, TileRecord
from acnet.data.tiles.cut import Photo, Tile
from acnet.data.tiles.options import TileOptions
from acnet.data.tiles.plan import plan_tiles, training_tiles
from acnet.errors import UserError


def choose_tiles(
    splits: Mapping[str, Sequence[ImageRecord]], options: TileOptions
) -> dict[str, list[TileRecord]]:
    """Plans the tiles of all splits.

    Args:
        splits: photos by split; folds share photos.
        options: how photos are cut, and which empty tiles a split takes.

    Returns:
        Tiles by split, in the order of its photos.
    """
    planned: dict[str, tuple[ImageRecord, list[TileRecord]]] = {}
    chosen = {}
    for split, photos in splits.items():
        tiles: list[TileRecord] = []
        for photo in photos:
            known = planned.get(photo.file_name)
            if known is None or not _same(known[0], photo):
                known = planned[photo.file_name] = (photo, plan_tiles(photo, options))
            tiles += known[1]
        chosen[split] = training_tiles(tiles, options.share_of_empty(split))
    return chosen


def photos_to_cut(
    splits: Mapping[str, Sequence[ImageRecord]], chosen: Mapping[str, Sequence[TileRecord]]
) -> list[Photo]:
    """Gathers what is to be cut of each photo.

    Args:
        splits: photos by split.
        chosen: tiles by split.

    Returns:
        One entry a photo, sorted by name, with the tiles that any split takes; a photo of which no
        tile is taken is among them, since it is to be readable too.

    Raises:
        UserError: two photos would give tiles of one name, or splits differ on a photo's size.
    """
    sizes: dict[str, tuple[int, int]] = {}
    for photo in (photo for photos in splits.values() for photo in photos):
        size = (photo.height, photo.width)
        if sizes.setdefault(photo.file_name, size) != size:
            raise UserError(
                f"A photo has one size in all splits. Received {photo.file_name} with (H, W) = "
                f"{sizes[photo.file_name]} and {size}. Import the data set again."
            )
    tiles: dict[str, dict[str, Tile]] = {name: {} for name in sizes}
    photo_of: dict[str, str] = {}
    for tile in (tile for tiles_of_split in chosen.values() for tile in tiles_of_split):
        photo = photo_of.setdefault(tile.file_name, tile.photo_file_name)
        if photo != tile.photo_file_name:
            raise UserError(
                "Tiles are named after their photo without its suffix. Received the photos "
                f"{photo} and {tile.photo_file_name}, which both give {tile.file_name}. Rename one."
            )
        left, top = tile.offset_xy
        window = (left, top, left + tile.width, top + tile.height)
        tiles[photo][tile.file_name] = Tile(tile.file_name, window)
    return [
        Photo(name, sizes[name], tuple(tiles[name][key] for key in sorted(tiles[name])))
        for name in sorted(sizes)
    ]


def _same(one: ImageRecord, other: ImageRecord) -> bool:
    fields = ("boxes_xyxy", "classes", "crowd", "difficult")
    return (one.width, one.height) == (other.width, other.height) and all(
        np.array_equal(getattr(one, field), getattr(other, field)) for field in fields
    )
