"""Cutting one photo: decoded once, each tile encoded from the same array."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from acnet.data.images import read_bgr
from acnet.data.readers.safe_files import member
from acnet.data.tiles.journal import CutPhoto
from acnet.data.tiles.options import TileOptions
from acnet.errors import UnreadableFileError


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


def cut_photo(
    photo: Photo, *, image_root: Path, tile_root: Path, options: TileOptions, known: CutPhoto | None
) -> CutPhoto:
    """Writes the tiles of one photo, unless they are there.

    A photo that is one tile is copied byte for byte: compressing it again would only lose. Virtual
    tiles are not written, but the photo is read nevertheless: a broken one would end a training.

    Args:
        photo: what to cut.
        image_root: folder of the photos.
        tile_root: folder of the tiles.
        options: how it is cut.
        known: what an earlier run with the same options wrote, or None.

    Returns:
        What the journal says of it.

    Raises:
        UnreadableFileError: the photo does not decode whole, or its size is not the annotations'.
        FileNotFoundError: there is no such photo.
    """
    source = member(image_root, photo.file_name)
    content = source.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if known is not None and known.sha256 == sha256:
        wanted = set() if options.virtual else {tile.file_name for tile in photo.tiles}
        if wanted == set(known.tiles) and _are_there(known, tile_root):
            return known
    image_bgr = read_bgr(source, content)
    if image_bgr.shape[:2] != photo.image_hw:
        raise UnreadableFileError(
            f"A photo must keep its size while it is cut. Received {source}: {image_bgr.shape[:2]} "
            f"(H, W) instead of {photo.image_hw}. Prepare the data set again."
        )
    if options.virtual:
        return CutPhoto(photo.file_name, sha256, {})
    (tile_root / photo.file_name).parent.mkdir(parents=True, exist_ok=True)
    sizes = {}
    for tile in photo.tiles:
        data = content if photo.is_whole else _encode(image_bgr, tile, options)
        # Not by a temporary file, which takes as long again: a half tile is in no journal, and
        # nothing reads tiles before the manifest completes them.
        path = tile_root / tile.file_name
        path.write_bytes(data)
        sizes[tile.file_name] = len(data)
    return CutPhoto(photo.file_name, sha256, sizes)


def _are_there(known: CutPhoto, tile_root: Path) -> bool:
    return all(
        (tile_root / name).is_file() and (tile_root / name).stat().st_size == size
        for name, size in known.tiles.items()
    )


def _encode(image_bgr: np.ndarray, tile: Tile, options: TileOptions) -> memoryview:
    left, top, right, bottom = tile.tile_xyxy
    window_bgr = image_bgr[top:bottom, left:right]
    if options.suffix == ".png":
        # Of the filters, the difference to the pixel above packs photos best, and fastest.
        settings = [cv2.IMWRITE_PNG_COMPRESSION, options.png_level]
        settings += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    else:
        settings = [cv2.IMWRITE_JPEG_QUALITY, options.jpeg_quality]
    _, encoded = cv2.imencode(options.suffix, window_bgr, settings)
    return encoded.data
