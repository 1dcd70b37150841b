"""Which tiles photos are cut into: their options, names, boxes, and the choice for each split."""

import fnmatch
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from acnet.data.records import ImageRecord, TileRecord, pick_flags
from acnet.errors import UserError
from acnet.photos.grid import MIN_SHARE, OVERLAP_PX, TILE_PX, clip_boxes_to_tiles, tile_grid

FORMATS = ("jpg", "png")


@dataclass(frozen=True, kw_only=True)
class TileOptions:
    """How photos are cut, how tiles are written, and which of them a split takes.

    Args:
        tile_px: side of the square tiles.
        overlap_px: what neighbours share, at least.
        min_share: share of a box's area that a tile must hold to keep the box.
        empty_share: share of the tiles without boxes that a split for training takes, 0 to 1.
        train_splits: patterns (`*`, `?`) of the splits for training; all others take every tile.
        image_format: "jpg" or "png".
        jpeg_quality: 1 to 100. NOT IN PAPER: 95 keeps a second compression below what is seen.
        png_level: zlib's 0 to 9. NOT IN PAPER: 2 gives files 6 % larger than Pillow's default in an
            eighth of its time, 3 smaller ones in a fifth (docs/lab/performance_data.md).
        virtual: write no pictures; the loader cuts the tiles of a photo when it needs them.
    """

    tile_px: int = TILE_PX
    overlap_px: int = OVERLAP_PX
    min_share: float = MIN_SHARE
    empty_share: float = 0.1
    train_splits: Sequence[str] = ("train*",)
    image_format: str = "jpg"
    jpeg_quality: int = 95
    png_level: int = 2
    virtual: bool = False

    @property
    def suffix(self) -> str:
        """Of the tiles' names. Virtual tiles have the pixels of PNG tiles, and so their names."""
        return ".png" if self.virtual or self.image_format == "png" else ".jpg"

    def share_of_empty(self, split: str) -> float:
        """Return the share of the tiles without boxes that a split takes.

        Args:
            split: its name. Only splits for training may leave tiles out: what is evaluated must
                show the false alarms on bare skin too.
        """
        is_train = any(fnmatch.fnmatchcase(split, pattern) for pattern in self.train_splits)
        return self.empty_share if is_train else 1.0


HASH_BITS = 64


def plan_tiles(photo: ImageRecord, options: TileOptions) -> list[TileRecord]:
    """Lay the tiles over a photo and shares its boxes out, without touching a picture.

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
    """Choose the tiles to train on: all with boxes, and a share of the others.

    NOT IN PAPER: about 65 % of ACNE04's tiles are empty; all of them would cost two thirds of the
    training, and none would leave hair and mouths unseen.

    Returns:
        The chosen tiles in their order. Chance decides for each empty tile by its name, so that a
        tile is in or out in all folds and formats alike, whatever other photos there are.
    """
    return [tile for tile in tiles if len(tile.boxes_xyxy) or _chance(tile) < empty_share]


def _chance(tile: TileRecord) -> float:
    name = PurePosixPath(tile.file_name).with_suffix(".jpg")
    digest = hashlib.sha256(str(name).encode()).digest()
    return int.from_bytes(digest[: HASH_BITS // 8], "big") / 2**HASH_BITS


@dataclass(frozen=True)
class Tile:
    """A tile to write.

    Args:
        file_name: below the folder of the tiles.
        tile_xyxy: photo pixels, end exclusive.
    """

    file_name: str
    tile_xyxy: tuple[int, int, int, int]


@dataclass(frozen=True)
class Photo:
    """A photo and the tiles that some split takes of it.

    Args:
        file_name: below the folder of the photos.
        image_hw: height and width in pixels, as the annotations say.
        tiles: in the order of their names; may be none.
    """

    file_name: str
    image_hw: tuple[int, int]
    tiles: tuple[Tile, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the photo is its only tile."""
        height, width = self.image_hw
        return [tile.tile_xyxy for tile in self.tiles] == [(0, 0, width, height)]


def choose_tiles(
    splits: Mapping[str, Sequence[ImageRecord]], options: TileOptions
) -> dict[str, list[TileRecord]]:
    """Plan the tiles of all splits.

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
    """Gather what is to be cut of each photo.

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
