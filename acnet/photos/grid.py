"""How a photo is looked at: at which size, in which tiles, and which part each tile answers for.

A detector finds lesions best at the size in pixels that they had in its training. Where that was
whole photos of one size, every photo is brought to that size first. Since a face may fill the frame
or be a tenth of it, a first look at the trained size says how large lesions are in this photo, and
a second one is taken at the size at which they measure what they did in training.

What is then too large for the model is covered by as few and as small tiles of one shape as can be.
Shape shorthand: N boxes, T tiles.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from acnet.errors import UserError
from acnet.photos import decode
from acnet.photos.merge import NMS, TileDetections

MULTIPLE_PX = 32  # what every backbone's strides divide, so that no tile is padded

PhotoSize: TypeAlias = int | str  # pixels of the long side, or one of these
AUTO, NATIVE = "auto", "native"

# NOT IN PAPER: everything here; the paper evaluates tiles of photos as they are. The numbers were
# chosen on photos that neither trained the bundled weights nor test them, see docs/predict.md.
LARGEST_FACTOR = 4.0  # between the trained size and the one that is looked at, either way
LARGEST_GROWTH = 3.0  # of a photo's own pixels
KEPT_FACTOR = 2**0.25 * 1.0001  # between the best size and one that is good enough
STEPS = 2  # sizes for each factor of two
PASSES = 3
LOWEST_SCORE = 0.1  # of detections that say how large lesions are
PRIOR = 1.0  # lesions of the trained size that are taken for seen before any
PIXELS = (32, 16384)  # of a long side that may be asked for

# Finds lesions in a photo that was brought to some size, in its pixels.
Look: TypeAlias = Callable[[np.ndarray], TileDetections]


@dataclass(frozen=True, kw_only=True)
class PhotoSizing:
    """At which size photos were seen in training, and are to be seen now.

    Args:
        size_px: Long side of whole photos in training; None for tiles of photos as they are.
        lesion_px: What lesions measured there, the median square root of their area; None where
            nobody knows, so that all photos are seen at `size_px`.
        wanted: "auto", "native", or the long side in pixels.

    Raises:
        UserError: A size is out of range.

    Example:
        >>> PhotoSizing(size_px=640, lesion_px=37).name
        'auto'
        >>> PhotoSizing().name
        'native'
    """

    size_px: int | None = None
    lesion_px: float | None = None
    wanted: PhotoSize = AUTO

    def __post_init__(self) -> None:
        low, high = PIXELS
        is_size = isinstance(self.wanted, int) and low <= self.wanted <= high
        if not is_size and self.wanted not in (AUTO, NATIVE):
            raise UserError(
                f"Photos are seen at auto, native, or a long side of {low} to {high} pixels. "
                f"Received {self.wanted!r}; choose one of these."
            )

    @property
    def follows(self) -> bool:
        """Whether each photo's size follows what is found in it."""
        return self.wanted == AUTO and None not in (self.size_px, self.lesion_px)

    @property
    def merge_name(self) -> str:
        """What makes a photo's scores, to which a count model is fitted."""
        return NMS if self.name == NATIVE else f"{NMS}, photo size {self.name}"

    @property
    def name(self) -> str:
        """What chooses the size: auto, native or a number."""
        if self.wanted == AUTO and not self.follows:
            return NATIVE if self.size_px is None else f"{self.size_px}"
        return f"{self.wanted}"

    def first(self, image_hw: tuple[int, int]) -> int:
        """Return the long side at which a photo is seen first, in pixels."""
        if self.name == NATIVE:
            return max(image_hw)
        if not self.follows:
            return int(self.name)
        return self._within(self.size_px, image_hw)

    def following(
        self, size_px: int, image_hw: tuple[int, int], boxes_xyxy: np.ndarray, scores: np.ndarray
    ) -> int:
        """Choose the long side to see a photo at, from what was found in it at `size_px`.

        Boxes (N, 4), with scores (N,), are in pixels of the photo's own. The answer is `size_px`
        itself where that was near enough.
        """
        trained_px = self.lesion_px * max(image_hw) / self.size_px  # in the photo's own pixels
        factor = trained_px / lesion_size(boxes_xyxy, scores, prior_px=trained_px)
        factor = float(np.clip(factor, 1 / LARGEST_FACTOR, LARGEST_FACTOR))
        if 1 / KEPT_FACTOR < self.size_px * factor / size_px < KEPT_FACTOR:
            return size_px
        steps = round(STEPS * np.log2(factor))
        return self._within(round(self.size_px * 2 ** (steps / STEPS)), image_hw)

    @staticmethod
    def _within(size_px: int, image_hw: tuple[int, int]) -> int:
        return min(size_px, round(LARGEST_GROWTH * max(image_hw)))


def lesion_size(boxes_xyxy: np.ndarray, scores: np.ndarray, *, prior_px: float) -> float:
    """Say how large the lesions of a photo are, the more sure detections counting more.

    Of (N, 4) boxes with (N,) scores it is the weighted median of the square roots of areas, drawn
    towards `prior_px` as if `PRIOR` sure lesions of that size had been found as well.
    """
    sizes = np.sqrt((boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).clip(min=0).prod(axis=1))
    chosen = (scores >= LOWEST_SCORE) & (sizes > 0)
    logs, weights = np.log(sizes[chosen]), scores[chosen].astype(np.float64)
    if not len(logs):
        return prior_px
    order = np.argsort(logs, kind="stable")
    up_to = np.cumsum(weights[order])
    total = up_to[-1]
    median = logs[order][np.searchsorted(up_to, total / 2)]
    return float(np.exp((total * median + PRIOR * np.log(prior_px)) / (total + PRIOR)))


def see(photo_bgr: np.ndarray, sizing: PhotoSizing, look: Look) -> TileDetections:
    """Find the lesions of a photo (H, W, 3) uint8 at the size that suits them.

    It is looked at once, or up to `PASSES` times where the size follows what is found. What was
    found last is in the photo's own pixels, with the size at which it was seen.
    """
    image_hw = photo_bgr.shape[:2]
    size_px = sizing.first(image_hw)
    found = _seen_at(size_px, photo_bgr, look)
    for _ in range(PASSES - 1 if sizing.follows else 0):
        following = sizing.following(size_px, image_hw, found.boxes_xyxy, found.scores)
        if following == size_px:
            break
        size_px = following
        found = _seen_at(size_px, photo_bgr, look)
    return found


def _seen_at(size_px: int, photo_bgr: np.ndarray, look: Look) -> TileDetections:
    picture = resize(photo_bgr, size_px)
    found = dataclasses.replace(look(picture), photo_size_px=size_px)
    if picture is photo_bgr:
        return found
    own_wh, seen_wh = (np.float32(one.shape[1::-1] * 2) for one in (photo_bgr, picture))
    boxes_xyxy = (found.boxes_xyxy * (own_wh / seen_wh)).clip(0, own_wh)
    return dataclasses.replace(found, boxes_xyxy=boxes_xyxy)


def resize(photo_bgr: np.ndarray, size_px: int) -> np.ndarray:
    """Bring a photo's long side to a size; the photo itself where it has it already."""
    factor = size_px / max(photo_bgr.shape[:2])
    return photo_bgr if factor == 1 else decode.scale(photo_bgr, factor)


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


def tile_starts(length_px: int, tile_px: int, overlap_px: int) -> list[int]:
    """Return where the tiles begin along one side of a photo, rising from 0.

    The last tile is shifted inward to end with the photo, so it may share more than the overlap; a
    side no longer than the tile has the one start 0.

    Raises:
        ValueError: An empty photo, an empty tile, or an overlap that leaves no step.
    """
    if length_px < 1:
        raise ValueError(f"A photo has pixels on both sides. Received a side of {length_px}.")
    if not 0 <= overlap_px < tile_px:
        raise ValueError(
            "The overlap is at least 0 and smaller than the tile, or the tiles do not advance. "
            f"Received overlap_px={overlap_px}, tile_px={tile_px}. Choose a smaller overlap."
        )
    last = max(length_px - tile_px, 0)
    return [*range(0, last, tile_px - overlap_px), last]


def even_grid(
    image_hw: tuple[int, int], *, tile_px: int, overlap_px: int, exact: bool = False
) -> np.ndarray:
    """Lay tiles of one shape over a photo, evenly spread.

    `tile_starts` shifts the last tile inward, where it repeats pixels that its neighbour has. Here
    each side is covered by as many tiles, made only as long as that needs: 3112 pixels by three
    tiles of 1152 rather than of 1280. Exact tiles are of `tile_px` on the sides that are cut, and
    share more than `overlap_px` instead.

    Returns:
        (T, 4) int64 XYXY, end exclusive, row by row; every pixel is covered, every tile lies
        inside. Sides are multiples of 32 where that is at most `tile_px`, unless they are the
        photo's own, or exact.
    """
    rows, columns = (_even_tiles(length, tile_px, overlap_px, exact) for length in image_hw)
    return np.array(
        [[left, top, right, bottom] for top, bottom in rows for left, right in columns], np.int64
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
    is nobody's less than once. Parts (T, 4) at the photo's own edges have no end there. The tiles
    (T, 4) are all those of a grid: each of its rows has each of its columns.
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
