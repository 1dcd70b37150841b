"""Writing the tiles of photos, and the journal by which a killed run goes on where it was.

A photo is decoded once, and each tile encoded from the same array. The journal has one line of
JSON a photo, after a first line that says how they are cut. A photo's line is added when all its
tiles are written; it is believed only while the photo has the same bytes and its tiles are there.
Lines come in the order of the work, and are sorted by photo at the end.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from acnet.data.readers.safe_files import member
from acnet.data.tiles.tile_plan import Photo, Tile, TileOptions
from acnet.errors import UnreadableFileError
from acnet.files import write_text
from acnet.photos.read import read_bgr


@dataclass(frozen=True)
class CutPhoto:
    """What is known of a photo that was cut.

    Args:
        photo: its file name.
        sha256: of its bytes.
        tiles: file names of the tiles that were written, and their sizes in bytes.
    """

    photo: str
    sha256: str
    tiles: Mapping[str, int]


class Journal:
    """The file of the photos that are cut.

    Args:
        path: the file; a missing one is begun.
        made_with: all that decides the tiles' bytes but the photos; with anything else the file
            is begun anew.
    """

    def __init__(self, path: Path, made_with: Mapping[str, Any]) -> None:
        self._path = path
        self._head = json.dumps({"made_with": made_with}, sort_keys=True)
        self.known = self._read()
        # Begun anew without the half line that a kill may have left at the end.
        self._write(self.known.values())

    def add(self, photo: CutPhoto) -> None:
        """Note that a photo is cut."""
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(_line(photo) + "\n")

    def finish(self, photos: Iterable[CutPhoto]) -> None:
        """Leave the photos of this run only, sorted."""
        self._write(sorted(photos, key=lambda photo: photo.photo))

    def _write(self, photos: Iterable[CutPhoto]) -> None:
        write_text(self._path, "\n".join([self._head, *map(_line, photos), ""]))

    def _read(self) -> dict[str, CutPhoto]:
        if not self._path.is_file():
            return {}
        head, *lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")
        if head != self._head:
            return {}
        photos = map(_parse, lines[:-1])  # what follows the last line end is no whole line
        return {photo.photo: photo for photo in photos if photo is not None}


def _line(photo: CutPhoto) -> str:
    return json.dumps(dataclasses.asdict(photo), ensure_ascii=False)


def _parse(line: str) -> CutPhoto | None:
    try:
        return CutPhoto(**json.loads(line))
    except (ValueError, TypeError):
        return None  # not a line of ours: the photo is cut again


def cut_photo(
    photo: Photo, *, image_root: Path, tile_root: Path, options: TileOptions, known: CutPhoto | None
) -> CutPhoto:
    """Write the tiles of one photo, unless they are there.

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
