"""How a photo is cut: where its tiles lie, which part each answers for, which boxes a tile keeps.

Training cuts tiles of a fixed size (`tile_grid`, the paper's); prediction lays as few and as small
tiles of one shape as cover the photo (`even_grid`).

Shape shorthand in this module:
    N: number of boxes
    T: number of tiles
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from acnet.errors import UserError

TILE_PX = 640
OVERLAP_PX = 320
MIN_SHARE = 0.5
MULTIPLE_PX = 32  # what every backbone's strides divide, so that no tile is padded

# Called after each batch with the tiles that are done and those that there are.
Progress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class TilingOptions:
    """Where photos are cut for prediction.

    The defaults are measured in docs/lab/merge_study.md.

    Args:
        tile_px: Longest side of a tile; photos with no longer side go through whole. None cuts no
            photo.
        overlap_px: What neighbours share, at least; more than the largest lesions measure.
        batch_size: Tiles that go through the model at once. One is fastest on a CPU.
        slack_px: Each tile answers for its part of the photo, up to the middles of the overlaps
            and this much beyond (see `own_parts`); what lies elsewhere costs no time. None: for
            all that it sees.
        exact: Tiles are squares of `tile_px`, for models that take no other size; else they are
            only as large as the photo needs.

    Raises:
        UserError: A value is out of range.

    Example:
        >>> TilingOptions(tile_px=1280).tiles((1000, 2000)).tolist()
        [[0, 0, 1088, 1000], [912, 0, 2000, 1000]]
    """

    tile_px: int | None = 1280
    overlap_px: int = 128
    batch_size: int = 1
    slack_px: float | None = 16.0
    exact: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(
                f"A batch has at least one tile. Received batch_size={self.batch_size}; use 1."
            )
        if self.slack_px is not None and self.slack_px < 0:
            raise UserError(
                "The slack is what a tile's part is grown by, so it is at least 0, or None for the "
                f"whole tile. Received slack_px={self.slack_px}; use 16."
            )
        if self.tile_px is not None and not 0 <= self.overlap_px < self.tile_px:
            raise UserError(
                "The overlap must be at least 0 and smaller than the tile, or the tiles do not "
                f"advance. Received overlap_px={self.overlap_px} and tile_px={self.tile_px}. "
                "Choose a smaller overlap, or larger tiles."
            )

    def tiles(self, image_hw: tuple[int, int]) -> np.ndarray:
        """Lay tiles over a photo: (T, 4) XYXY, all of one shape; one where it is not cut."""
        tile_px = max(image_hw) if self.tile_px is None else self.tile_px
        overlap_px = min(self.overlap_px, tile_px - 1)
        return even_grid(image_hw, tile_px=tile_px, overlap_px=overlap_px, exact=self.exact)

    def parts(self, tiles_xyxy: np.ndarray) -> np.ndarray | None:
        """Return (T, 4) what each tile answers for, in its own pixels; None for all it sees."""
        if len(tiles_xyxy) == 1 or self.slack_px is None:
            return None
        return own_parts(tiles_xyxy, self.slack_px) - np.tile(tiles_xyxy[:, :2], 2)


def tile_grid(
    image_hw: tuple[int, int], *, tile_px: int = TILE_PX, overlap_px: int = OVERLAP_PX
) -> np.ndarray:
    """Lay tiles of a fixed size over a photo, row by row.

    Args:
        image_hw: The photo's height and width in pixels.
        tile_px: Side of the square tiles. A side of the photo that is shorter bounds the tile, so
            a photo with both sides at most `tile_px` is one tile.
        overlap_px: What neighbours share, at least.

    Returns:
        (T, 4) int64 XYXY, end exclusive; every pixel is covered, every tile lies inside.

    Raises:
        ValueError: An empty photo, an empty tile, or an overlap that leaves no step.

    Reference: Sec. IV-A.
    """
    _check_grid(image_hw, tile_px, overlap_px)
    height, width = image_hw
    top, left = np.meshgrid(
        tile_starts(height, tile_px, overlap_px),
        tile_starts(width, tile_px, overlap_px),
        indexing="ij",
    )
    right, bottom = np.minimum(left + tile_px, width), np.minimum(top + tile_px, height)
    return np.stack([left, top, right, bottom], axis=-1).reshape(-1, 4)


def tile_starts(length_px: int, tile_px: int, overlap_px: int) -> list[int]:
    """Return where the tiles begin along one side of a photo, rising from 0.

    The last tile is shifted inward to end with the photo, so it may share more than the overlap; a
    side no longer than the tile has the one start 0.
    """
    last = max(length_px - tile_px, 0)
    return [*range(0, last, tile_px - overlap_px), last]


def even_grid(
    image_hw: tuple[int, int], *, tile_px: int, overlap_px: int, exact: bool = False
) -> np.ndarray:
    """Lay tiles of one shape over a photo, evenly spread.

    `tile_grid` shifts the last tile inward, where it repeats pixels that its neighbour has. Here
    each side is covered by as many tiles as `tile_grid` takes, made only as long as that needs:
    3112 pixels by three tiles of 1152 rather than of 1280.

    Args:
        image_hw: The photo's height and width in pixels.
        tile_px: Longest side of a tile. A side of the photo that is no longer is not cut.
        overlap_px: What neighbours share, at least.
        exact: Sides that are cut are cut into `tile_px`, and neighbours share more instead.

    Returns:
        (T, 4) int64 XYXY, end exclusive, row by row; every pixel is covered, every tile lies
        inside. Sides are multiples of 32 where that is at most `tile_px`, unless they are the
        photo's own, or exact.

    Raises:
        ValueError: As `tile_grid`.
    """
    _check_grid(image_hw, tile_px, overlap_px)
    rows, columns = (_even_tiles(length, tile_px, overlap_px, exact) for length in image_hw)
    return np.array(
        [[left, top, right, bottom] for top, bottom in rows for left, right in columns], np.int64
    )


def _check_grid(image_hw: tuple[int, int], tile_px: int, overlap_px: int) -> None:
    if min(image_hw) < 1:
        raise ValueError(f"A photo has pixels on both sides. Received (H, W) = {image_hw}.")
    if not 0 <= overlap_px < tile_px:
        raise ValueError(
            "The overlap must be at least 0 and smaller than the tile, or the tiles do not advance."
            f" Received overlap_px={overlap_px}, tile_px={tile_px}. Choose a smaller overlap."
        )


def _even_tiles(
    length_px: int, tile_px: int, overlap_px: int, exact: bool
) -> list[tuple[int, int]]:
    """Start and end of each tile along one side."""
    count = len(tile_starts(length_px, tile_px, overlap_px))
    if count == 1:
        return [(0, length_px)]
    shortest = -(-(length_px + (count - 1) * overlap_px) // count)
    side = tile_px if exact else min(-(-shortest // MULTIPLE_PX) * MULTIPLE_PX, tile_px)
    # Neighbours are at most side - overlap_px apart: that is a whole number, and no smaller than
    # the even step, so rounding starts down does not pass it.
    starts = [index * (length_px - side) // (count - 1) for index in range(count)]
    return [(start, start + side) for start in starts]


def tile_batches(
    image: np.ndarray, tiles_xyxy: np.ndarray, batch_size: int
) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """Yield tiles batch by batch: which they are, and views of the image's pixels."""
    for start in range(0, len(tiles_xyxy), batch_size):
        chosen = slice(start, start + batch_size)
        batch = tiles_xyxy[chosen].tolist()
        yield chosen, [image[top:bottom, left:right] for left, top, right, bottom in batch]


def own_parts(tiles_xyxy: np.ndarray, slack_px: float) -> np.ndarray:
    """Divide a photo among its tiles along the middles of their overlaps.

    Where several tiles see a place, the one in whose part it lies sees most around it. With the
    slack a lesion on the line between two parts, whose centre each tile puts a little elsewhere,
    is nobody's less than once.

    Args:
        tiles_xyxy: (T, 4), all tiles of a grid: each of its rows has each of its columns.
        slack_px: What the parts are grown by, at least 0.

    Returns:
        (T, 4) float64 XYXY; parts at the photo's own edges have no end there.
    """
    # NOT IN PAPER: the paper evaluates tiles. Half of the overlap is what a lesion on the line
    # between two parts may measure beyond its centre, to be whole in both of their tiles.
    columns = _between_middles(tiles_xyxy[:, 0], tiles_xyxy[:, 2], slack_px)
    rows = _between_middles(tiles_xyxy[:, 1], tiles_xyxy[:, 3], slack_px)
    return np.stack([columns[:, 0], rows[:, 0], columns[:, 1], rows[:, 1]], axis=1)


def _between_middles(starts: np.ndarray, ends: np.ndarray, slack_px: float) -> np.ndarray:
    """(T, 2): between the middles of the overlaps along one side."""
    rising_starts, index = np.unique(starts, return_inverse=True)
    rising_ends = np.unique(ends)
    middles = (rising_starts[1:] + rising_ends[:-1]) / 2
    low = np.concatenate([[-np.inf], middles - slack_px])
    high = np.concatenate([middles + slack_px, [np.inf]])
    return np.stack([low[index], high[index]], axis=1)


def clip_boxes(
    boxes_xyxy: np.ndarray, tile_xyxy: np.ndarray, *, min_share: float = MIN_SHARE
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a photo's boxes to a tile and keep those that are mostly inside.

    Args:
        boxes_xyxy: (N, 4) in photo pixels; a box without area is never kept.
        tile_xyxy: (4,) in photo pixels.
        min_share: Smallest share of a box's area that lies in the tile, above 0 and at most 1.

    Returns:
        (K, 4) kept boxes in tile pixels, clipped, and their (K,) indices, rising. Adding the tile's
        left and top brings back photo pixels.

    Raises:
        ValueError: `min_share` is out of range.
    """
    # NOT IN PAPER: the paper does not say what becomes of a box that a tile cuts. With tiles that
    # overlap by half, a box no larger than the overlap is whole in one of them, so half is enough.
    if not 0.0 < min_share <= 1.0:
        raise ValueError(f"min_share lies above 0 and at most at 1. Received {min_share}.")
    tile = np.asarray(tile_xyxy)
    clipped = np.concatenate(
        [np.maximum(boxes_xyxy[:, :2], tile[:2]), np.minimum(boxes_xyxy[:, 2:], tile[2:])], axis=1
    )
    inside = np.clip(clipped[:, 2:] - clipped[:, :2], 0, None).prod(axis=1)
    area = np.clip(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0, None).prod(axis=1)
    kept = np.flatnonzero((area > 0) & (inside >= min_share * area))
    return clipped[kept] - np.tile(tile[:2], 2), kept


def clip_boxes_to_tiles(
    boxes_xyxy: np.ndarray, tiles_xyxy: np.ndarray, *, min_share: float = MIN_SHARE
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Do `clip_boxes` for each of a photo's tiles, in a fraction of the time.

    Most tiles of a photo are empty, which a few comparisons tell.
    """
    left, top, right, bottom = boxes_xyxy.T
    empty = clip_boxes(boxes_xyxy[:0], np.zeros(4, tiles_xyxy.dtype), min_share=min_share)
    clipped = []
    for tile in tiles_xyxy:
        near = (left < tile[2]) & (right > tile[0]) & (top < tile[3]) & (bottom > tile[1])
        if near.any():
            candidates = np.flatnonzero(near)
            boxes, kept = clip_boxes(boxes_xyxy[candidates], tile, min_share=min_share)
            clipped.append((boxes, candidates[kept]))
        else:
            clipped.append(empty)
    return clipped
