"""One list of detections for a photo, from those of its overlapping tiles.

What a tile's own head has thinned out by Soft-NMS is thinned out: boxes of one tile leave each
other alone here. What remains to be done is between tiles, which see a lesion twice where they
overlap, or a part of it at their edges. So boxes that an edge may have cut are dropped where
another tile sees their place whole, and of several views of a lesion the best is kept.

Shape shorthand in this module:
    N: number of detections
    T: number of tiles
    E: number of pairs
"""

import dataclasses
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from acnet.files import Progress

CELL_PX = 8  # of a photo's saliency: the stride at which the mask attention works
NMS = "nms"  # what merges tiles; count models are fitted to the scores of one way of merging
PAIRS_AT_ONCE = 2_000_000  # bounds the memory of one step to some 100 MB


@dataclass(frozen=True, kw_only=True)
class MergeOptions:
    """How the detections of a photo's tiles become one list.

    The defaults are the best of the study in docs/lab/merge_study.md.

    Args:
        iou_threshold: Overlap above which two boxes are views of one lesion, 0 to 1.
        drop_cut: Drop boxes that an inner edge of their tile may have cut, where another tile sees
            their place whole.
        margin_px: Boxes closer to an inner edge than this may have been cut, at least 0.
        score_floor: Detections below it are dropped.
        max_detections: Best detections that a photo keeps; None for all.

    Raises:
        ValueError: A value is out of range.
    """

    # NOT IN PAPER: all of it; the paper evaluates tiles.
    iou_threshold: float = 0.5
    drop_cut: bool = True
    margin_px: float = 8.0
    score_floor: float = 1e-3
    max_detections: int | None = 1000

    def __post_init__(self) -> None:
        limit = 1 if self.max_detections is None else self.max_detections
        for name, valid, rule in (
            ("iou_threshold", 0 <= self.iou_threshold <= 1, "from 0 to 1"),
            ("margin_px", self.margin_px >= 0, "at least 0"),
            ("score_floor", 0 < self.score_floor < 1, "above 0 and below 1"),
            ("max_detections", limit >= 1, "at least 1, or None"),
        ):
            if not valid:
                raise ValueError(f"{name} must be {rule}. Received {getattr(self, name)}.")


@dataclass(frozen=True, kw_only=True, eq=False)
class TileDetections:
    """Detections of a photo's tiles, in the photo's pixels."""

    boxes_xyxy: np.ndarray  # (N, 4) float32
    scores: np.ndarray  # (N,) float32, 0 to 1
    classes: np.ndarray  # (N,) int64
    tiles: np.ndarray  # (N,) int64, the index of the tile that each was found in
    # Long side at which the photo was seen, None for its own pixels.
    photo_size_px: int | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, chosen: np.ndarray | slice) -> "TileDetections":
        """Return some of the detections, by index or mask."""
        return dataclasses.replace(
            self,
            boxes_xyxy=self.boxes_xyxy[chosen],
            scores=self.scores[chosen],
            classes=self.classes[chosen],
            tiles=self.tiles[chosen],
        )

    def best_first(self) -> "TileDetections":
        """Return them in an order that does not depend on the order of the tiles.

        Scores fall; equal scores are in the order of top, left, bottom, right, class. What is equal
        in all of these is the same detection twice.
        """
        left, top, right, bottom = self.boxes_xyxy.T
        keys = (self.tiles, self.classes, right, bottom, left, top, -self.scores)
        return self.take(np.lexsort(keys))  # the last key decides first


def in_photo(
    found: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], tiles_xyxy: np.ndarray
) -> TileDetections:
    """Put the detections of (T, 4) tiles side by side, in the photo's pixels.

    Of each tile there are boxes (N, 4), in the tile's pixels, scores (N,) and classes (N,).
    """
    boxes, scores, classes = zip(*found, strict=True)
    corners = np.tile(tiles_xyxy[:, :2], 2).astype(np.float32)
    moved = [one + corner for one, corner in zip(boxes, corners, strict=True)]
    return TileDetections(
        boxes_xyxy=np.concatenate(moved).astype(np.float32, copy=False),
        scores=np.concatenate(scores),
        classes=np.concatenate(classes),
        tiles=np.repeat(np.arange(len(boxes)), [len(one) for one in scores]),
    )


def merge_tiles(
    detections: TileDetections,
    tiles_xyxy: np.ndarray,
    image_hw: tuple[int, int],
    options: MergeOptions,
) -> TileDetections:
    """Merge what the (T, 4) tiles of a photo found, in the photo's pixels and any order.

    The tiles are a grid: each of its rows has each of its columns.

    Returns:
        The photo's detections, best first; equal scores in the order of top, left, bottom, right.
        `tiles` says which tile saw each best.
    """
    if options.drop_cut:
        cut = cut_and_seen_elsewhere(detections, tiles_xyxy, image_hw, options.margin_px)
        detections = detections.take(~cut)
    detections = detections.take(detections.scores >= options.score_floor).best_first()
    better, worse = overlapping_pairs(
        detections.boxes_xyxy, detections.classes, detections.tiles, above_iou=options.iou_threshold
    )
    kept = np.ones(len(detections), bool)
    # In rising order of the better one: whether it is kept is known when it is reached.
    for winner, loser in zip(better.tolist(), worse.tolist(), strict=True):
        if kept[winner]:
            kept[loser] = False
    return detections.take(kept).take(slice(options.max_detections))


def cut_and_seen_elsewhere(
    detections: TileDetections, tiles_xyxy: np.ndarray, image_hw: tuple[int, int], margin_px: float
) -> np.ndarray:
    """Tell which detections an inner edge may have cut, while another tile sees their place whole.

    A tile sees a box whole where the box keeps a distance from the tile's inner edges, those that
    are not the photo's own: a box that touches one may go on beyond it. Such a box shows a part of
    a lesion, and the other tile has the lesion. A box that no tile sees whole, since it is longer
    than the overlap, is the best there is. The tiles (T, 4) are all those of a grid; `margin_px` is
    the distance, at least 0. The answer (N,) is True for those that can go.
    """
    # NOT IN PAPER: everything here; the paper evaluates tiles and does not say how a photo's tiles
    # are put together.
    own = tiles_xyxy[detections.tiles]
    cut = ~seen_whole(detections.boxes_xyxy, own, image_hw, margin_px)
    # Of a box that is cut, the views are those of other tiles.
    cut[cut] = count_views(detections.boxes_xyxy[cut], tiles_xyxy, image_hw, margin_px) > 0
    return cut


def seen_whole(
    boxes_xyxy: np.ndarray, tiles_xyxy: np.ndarray, image_hw: tuple[int, int], margin_px: float
) -> np.ndarray:
    """Tell for (N, 4) boxes and a tile for each, (N, 4), whether the tile sees the box whole."""
    height, width = image_hw
    columns = _inner_interval(tiles_xyxy[:, [0, 2]], width, margin_px)
    rows = _inner_interval(tiles_xyxy[:, [1, 3]], height, margin_px)
    return _inside(boxes_xyxy[:, [0, 2]], columns) & _inside(boxes_xyxy[:, [1, 3]], rows)


def count_views(
    boxes_xyxy: np.ndarray, tiles_xyxy: np.ndarray, image_hw: tuple[int, int], margin_px: float
) -> np.ndarray:
    """Count for (N, 4) boxes how many of a grid's (T, 4) tiles see each whole."""
    height, width = image_hw
    # In a grid a tile is a row and a column, so N x (rows + columns) comparisons do for N x T.
    columns = _inner_interval(np.unique(tiles_xyxy[:, [0, 2]], axis=0), width, margin_px)
    rows = _inner_interval(np.unique(tiles_xyxy[:, [1, 3]], axis=0), height, margin_px)
    in_columns = _inside(boxes_xyxy[:, None, [0, 2]], columns).sum(axis=1)
    in_rows = _inside(boxes_xyxy[:, None, [1, 3]], rows).sum(axis=1)
    return in_columns * in_rows


def _inner_interval(intervals: np.ndarray, length_px: int, margin_px: float) -> np.ndarray:
    """(T, 2): the part of each tile that keeps the distance; the photo's own edges need none."""
    start, end = intervals.astype(np.float64).T
    low = np.where(start > 0, start + margin_px, -np.inf)
    high = np.where(end < length_px, end - margin_px, np.inf)
    return np.stack([low, high], axis=-1)


def _inside(spans: np.ndarray, intervals: np.ndarray) -> np.ndarray:
    return (spans[..., 0] >= intervals[..., 0]) & (spans[..., 1] <= intervals[..., 1])


def overlapping_pairs(
    boxes_xyxy: np.ndarray, classes: np.ndarray, tiles: np.ndarray, *, above_iou: float
) -> tuple[np.ndarray, np.ndarray]:
    """Find the boxes of one class and of different tiles that overlap by more than a bound.

    Boxes (N, 4), with classes (N,) and tiles (N,), are best first. Of each pair there is the index
    of the better box, (E,) and rising, and that of the worse one, (E,).
    """
    boxes = np.asarray(boxes_xyxy, np.float32)
    order = np.argsort(boxes[:, 0], kind="stable")
    left, right = boxes[order, 0], boxes[order, 2]
    # In the order of their left sides, those that begin before a box ends follow it at once.
    following = np.searchsorted(left, right) - np.arange(1, len(boxes) + 1)
    following = following.clip(min=0)
    found = [np.empty((2, 0), np.int64)]
    for begin, end in _steps(following):
        one, other = _expand(following[begin:end], begin)
        one, other = order[one], order[other]
        pairs = (classes[one] == classes[other]) & (tiles[one] != tiles[other])
        one, other = one[pairs], other[pairs]
        close = _iou(boxes[one], boxes[other]) > above_iou
        found.append(np.stack([one[close], other[close]]))
    pairs = np.sort(np.concatenate(found, axis=1), axis=0)
    better, worse = pairs[:, np.lexsort(pairs[::-1])]
    return better, worse


def _steps(following: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of boxes whose candidates are about `PAIRS_AT_ONCE`."""
    step = np.cumsum(following) // PAIRS_AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(step)) + 1).tolist(), len(following)]
    return list(itertools.pairwise(edges))


def _expand(following: np.ndarray, begin: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of each place from `begin` with the places that follow it, as many as given."""
    one = np.repeat(np.arange(len(following)), following)
    before = np.cumsum(following) - following
    return begin + one, begin + one + 1 + np.arange(len(one)) - before[one]


def _iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(E,) intersection over union; two boxes without area share nothing."""
    low, high = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    intersection = (high - low).clip(min=0).prod(axis=1)
    union = _area(one) + _area(other) - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1)


def blend_saliency(
    maps: Iterable[np.ndarray],
    tiles_xyxy: np.ndarray,
    image_hw: tuple[int, int],
    *,
    progress: Progress | None = None,
) -> np.ndarray:
    """Average the maps of (T, 4) tiles that cover a photo, each weighing less towards its edges.

    A tile's map is (h, w) in [0, 1] over the tile, of any resolution; the result is (H / 8, W / 8)
    float32, rounded up, over the whole photo.
    """
    grid_hw = tuple(-(-length // CELL_PX) for length in image_hw)
    total, weight = np.zeros(grid_hw, np.float32), np.zeros(grid_hw, np.float32)
    for index, (tile, one) in enumerate(zip(tiles_xyxy.tolist(), maps, strict=True), start=1):
        left, top, right, bottom = tile
        rows, in_map_y, ramp_y = _cells(top, bottom, image_hw[0], grid_hw[0], one.shape[0])
        columns, in_map_x, ramp_x = _cells(left, right, image_hw[1], grid_hw[1], one.shape[1])
        ramp = ramp_y[:, None] * ramp_x
        total[rows, columns] += ramp * one[in_map_y[:, None], in_map_x]
        weight[rows, columns] += ramp
        if progress is not None:
            progress(index, len(tiles_xyxy))
    return total / weight


def _cells(
    start: int, end: int, length_px: int, num_cells: int, map_length: int
) -> tuple[slice, np.ndarray, np.ndarray]:
    """The photo's cells whose centres lie in a tile, along one side.

    With each goes its place in the tile's map, and its weight: the distance of its centre from the
    tile's nearer end in pixels.
    """
    centres = (np.arange(num_cells) + 0.5) * length_px / num_cells
    first, last = np.searchsorted(centres, [start, end])
    inside = centres[first:last]
    in_map = ((inside - start) / (end - start) * map_length).astype(np.int64)
    # + 1: a centre on the end of the only tile that has it must weigh something.
    ramp = np.minimum(inside - start, end - inside) + 1
    return slice(first, last), in_map, ramp.astype(np.float32)
