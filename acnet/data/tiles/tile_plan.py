"""Which tiles photos are cut into, for each split, and how the tiles of a photo are written.

A photo is decoded once, and each tile encoded from the same array. The journal, by which a killed
run goes on, has one line of JSON a photo, after a first line that says how they are cut. A photo's
line is added when all its tiles are written; it is believed only while the photo has the same bytes
and its tiles are there.
"""

import dataclasses
import fnmatch
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from acnet.data.readers.safe_files import member
from acnet.data.records import ImageRecord, TileRecord, pick_flags
from acnet.errors import UnreadableFileError, UserError
from acnet.files import write_text
from acnet.photos.grid import tile_starts
from acnet.photos.read import holds_deep_grey, read_bgr

# Of zlib. NOT IN PAPER: files are 6 % larger than by Pillow's default, in an eighth of its time
# (docs/lab/performance_data.md).
PNG_LEVEL = 2


@dataclass(frozen=True, kw_only=True)
class TileOptions:
    """How photos are cut, how tiles are written, and which of them a split takes."""

    tile_px: int = 640  # side of the square tiles
    overlap_px: int = 320  # what neighbours share, at least
    min_share: float = 0.5  # share of a box's area that a tile must hold to keep the box
    # Share of the tiles without boxes that a split for training takes, 0 to 1.
    empty_share: float = 0.1
    # Patterns (`*`, `?`) of the splits for training; all others take every tile.
    train_splits: Sequence[str] = ("train*",)
    image_format: str = "jpg"  # "jpg" or "png"
    # 1 to 100. NOT IN PAPER: 95 keeps a second compression below what is seen.
    jpeg_quality: int = 95
    # Write no pictures; the loader cuts the tiles of a photo when it needs them.
    virtual: bool = False

    @property
    def suffix(self) -> str:
        """Of the tiles' names. Virtual tiles have the pixels of PNG tiles, and so their names."""
        return ".png" if self.virtual or self.image_format == "png" else ".jpg"

    def share_of_empty(self, split: str) -> float:
        """Return the share of the tiles without boxes that a split takes.

        What is evaluated takes all, since it must show the false alarms on bare skin too.
        """
        is_train = any(fnmatch.fnmatchcase(split, pattern) for pattern in self.train_splits)
        return self.empty_share if is_train else 1.0


def tile_grid(
    image_hw: tuple[int, int], *, tile_px: int = 640, overlap_px: int = 320
) -> np.ndarray:
    """Lay squares over a photo, row by row: (T, 4) int64 XYXY, end exclusive.

    Every pixel is covered, every tile lies inside, and neighbours share `overlap_px` or more. A
    side of the photo that is shorter than `tile_px` bounds the tile, so that a photo with both
    sides at most `tile_px` is one tile.

    Reference: Sec. IV-A.
    """
    tops, lefts = (tile_starts(side, tile_px, overlap_px) for side in image_hw)
    starts = np.array([(left, top) for top in tops for left in lefts])
    return np.concatenate([starts, np.minimum(starts + tile_px, image_hw[::-1])], axis=1)


def clip_boxes(
    boxes_xyxy: np.ndarray, tile_xyxy: np.ndarray, *, min_share: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a photo's (N, 4) boxes to a (4,) tile and keep those that are mostly inside.

    Of a box that is kept the tile holds `min_share` of the area or more, above 0 and at most 1; one
    without area is never kept.

    Returns:
        (K, 4) kept boxes in tile pixels, clipped, and their (K,) indices, rising.
    """
    # NOT IN PAPER: the paper does not say what becomes of a box that a tile cuts. With tiles that
    # overlap by half, a box no larger than the overlap is whole in one of them, so half is enough.
    if not 0.0 < min_share <= 1.0:
        raise ValueError(f"min_share lies above 0 and at most at 1. Received {min_share}.")
    low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    area = (high - low).clip(min=0).prod(axis=1)
    low, high = np.maximum(low, tile_xyxy[:2]), np.minimum(high, tile_xyxy[2:])
    inside = (high - low).clip(min=0).prod(axis=1)
    kept = np.flatnonzero((area > 0) & (inside >= min_share * area))
    return np.concatenate([low, high], axis=1)[kept] - np.tile(tile_xyxy[:2], 2), kept


def plan_tiles(photo: ImageRecord, options: TileOptions) -> list[TileRecord]:
    """Lay tiles over a photo row by row and share its boxes out; one tile keeps the name."""
    tiles = tile_grid(
        (photo.height, photo.width), tile_px=options.tile_px, overlap_px=options.overlap_px
    )
    stem = str(PurePosixPath(photo.file_name).with_suffix(""))
    records = []
    for tile_xyxy in tiles:
        left, top, right, bottom = tile_xyxy.tolist()
        boxes, kept = clip_boxes(photo.boxes_xyxy, tile_xyxy, min_share=options.min_share)
        # Leading zeros make the order of the names that of the rows and columns.
        cut_name = f"{stem}_y{top:05d}_x{left:05d}{options.suffix}"
        record = TileRecord(
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
        records.append(record)
    return records


def training_tiles(tiles: Iterable[TileRecord], empty_share: float) -> list[TileRecord]:
    """Choose the tiles to train on: all with boxes, and a share of the others.

    NOT IN PAPER: about 65 % of ACNE04's tiles are empty; all of them would cost two thirds of the
    training, and none would leave hair and mouths unseen. Chance decides for each empty tile by its
    name, so that it is in or out in all folds and formats alike, whatever other photos there are.
    """
    return [tile for tile in tiles if len(tile.boxes_xyxy) or _chance(tile) < empty_share]


def _chance(tile: TileRecord) -> float:
    name = PurePosixPath(tile.file_name).with_suffix(".jpg")
    digest = hashlib.sha256(str(name).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


@dataclass(frozen=True)
class Photo:
    """A photo, its size as annotated, and the tiles that some split takes of it, in their order."""

    file_name: str
    image_hw: tuple[int, int]
    tiles: tuple[TileRecord, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the photo is its only tile."""
        return [(tile.height, tile.width) for tile in self.tiles] == [self.image_hw]


def choose_tiles(
    splits: Mapping[str, Sequence[ImageRecord]], options: TileOptions
) -> dict[str, list[TileRecord]]:
    """Plan the tiles of all splits, in the order of their photos, which folds share."""
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
    """Gather the tiles that any split takes of each photo, sorted by name.

    A photo of which no tile is taken is among them, since it is to be readable too.
    """
    sizes: dict[str, tuple[int, int]] = {}
    for photo in itertools.chain.from_iterable(splits.values()):
        size = (photo.height, photo.width)
        if sizes.setdefault(photo.file_name, size) != size:
            raise UserError(
                f"A photo has one size in all splits. Received {photo.file_name} with (H, W) = "
                f"{sizes[photo.file_name]} and {size}. Import the data set again."
            )
    tiles: dict[str, dict[str, TileRecord]] = {name: {} for name in sizes}
    photo_of: dict[str, str] = {}
    for tile in itertools.chain.from_iterable(chosen.values()):
        photo = photo_of.setdefault(tile.file_name, tile.photo_file_name)
        if photo != tile.photo_file_name:
            raise UserError(
                "Tiles are named after their photo without its suffix. Received the photos "
                f"{photo} and {tile.photo_file_name}, which both give {tile.file_name}. Rename one."
            )
        tiles[photo][tile.file_name] = tile
    return [
        Photo(name, sizes[name], tuple(tiles[name][key] for key in sorted(tiles[name])))
        for name in sorted(sizes)
    ]


def _same(one: ImageRecord, other: ImageRecord) -> bool:
    fields = ("boxes_xyxy", "classes", "crowd", "difficult")
    return (one.width, one.height) == (other.width, other.height) and all(
        np.array_equal(getattr(one, field), getattr(other, field)) for field in fields
    )


@dataclass(frozen=True)
class CutPhoto:
    """What is known of a photo that was cut: its bytes' hash, and the tiles' names and sizes."""

    photo: str
    sha256: str
    tiles: Mapping[str, int]


class Journal:
    """The file of the photos that are cut, which is begun where it is missing.

    It is begun anew with another `made_with`, all that decides the tiles' bytes but the photos.
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
    """Write the tiles of one photo, unless they are there, as `known` of an earlier run says.

    A photo that is one tile is copied byte for byte: compressing it again would only lose. Grey of
    more than 8 bits is not, since readers of tiles would take it for white. Virtual
    tiles are not written, but the photo is read nevertheless: a broken one would end a training.
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
    is_kept = photo.is_whole and not holds_deep_grey(source, content)
    for tile in photo.tiles:
        data = content if is_kept else _encode(image_bgr, tile, options)
        # Not by a temporary file, which takes as long again: a half tile is in no journal, and
        # nothing reads tiles before the manifest completes them.
        (tile_root / tile.file_name).write_bytes(data)
        sizes[tile.file_name] = len(data)
    return CutPhoto(photo.file_name, sha256, sizes)


def _are_there(known: CutPhoto, tile_root: Path) -> bool:
    places = ((tile_root / name, size) for name, size in known.tiles.items())
    return all(path.is_file() and path.stat().st_size == size for path, size in places)


def _encode(image_bgr: np.ndarray, tile: TileRecord, options: TileOptions) -> memoryview:
    left, top = tile.offset_xy
    window_bgr = image_bgr[top : top + tile.height, left : left + tile.width]
    if options.suffix == ".png":
        # Of the filters, the difference to the pixel above packs photos best, and fastest.
        settings = [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL]
        settings += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    else:
        settings = [cv2.IMWRITE_JPEG_QUALITY, options.jpeg_quality]
    _, encoded = cv2.imencode(options.suffix, window_bgr, settings)
    return encoded.data
