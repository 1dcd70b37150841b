"""Which tiles see a place whole.

A tile sees a box whole where the box keeps a distance from the tile's inner edges, those that are
not the photo's own: a box that touches one may go on beyond it.

Shape shorthand in this module:
    N: number of boxes
    T: number of tiles
"""

import numpy as np

from acnet.tiling.detections import TileDetections


def seen_whole(
    boxes_xyxy: np.ndarray, tiles_xyxy: np.ndarray, image_hw: tuple[int, int], margin_px: float
) -> np.ndarray:
    """Tells for pairs of a box and a tile whether the tile sees the box whole.

    Args:
        boxes_xyxy: (N, 4) in the photo's pixels.
        tiles_xyxy: (N, 4), the tile that is asked about for each box.
        image_hw: height and width of the photo.
        margin_px: least distance of a box from an inner edge, at least 0.

    Returns:
        (N,) bool.
    """
    height, width = image_hw
    columns = _inner_interval(tiles_xyxy[:, [0, 2]], width, margin_px)
    rows = _inner_interval(tiles_xyxy[:, [1, 3]], height, margin_px)
    return _inside(boxes_xyxy[:, [0, 2]], columns) & _inside(boxes_xyxy[:, [1, 3]], rows)


def count_views(
    boxes_xyxy: np.ndarray, tiles_xyxy: np.ndarray, image_hw: tuple[int, int], margin_px: float
) -> np.ndarray:
    """Counts the tiles that see each box whole.

    Args:
        boxes_xyxy: (N, 4) in the photo's pixels.
        tiles_xyxy: (T, 4), all tiles of a grid: each of its rows has each of its columns.
        image_hw: height and width of the photo.
        margin_px: as for `seen_whole`.

    Returns:
        (N,) int64.
    """
    height, width = image_hw
    # In a grid a tile is a row and a column, so N x (rows + columns) comparisons do for N x T.
    columns = _inner_interval(np.unique(tiles_xyxy[:, [0, 2]], axis=0), width, margin_px)
    rows = _inner_interval(np.unique(tiles_xyxy[:, [1, 3]], axis=0), height, margin_px)
    in_columns = _inside(boxes_xyxy[:, None, [0, 2]], columns).sum(axis=1)
    in_rows = _inside(boxes_xyxy[:, None, [1, 3]], rows).sum(axis=1)
    return in_columns * in_rows


def cut_and_seen_elsewhere(
    detections: TileDetections,
    tiles_xyxy: np.ndarray,
    image_hw: tuple[int, int],
    margin_px: float,
) -> np.ndarray:
    """Tells which detections an inner edge may have cut, while another tile sees their place whole.

    Such a box shows a part of a lesion, and the other tile has the lesion. A box that no tile sees
    whole, since it is longer than the overlap, is the best there is.

    Args:
        detections: N, of all tiles.
        tiles_xyxy: (T, 4), as for `count_views`.
        image_hw: height and width of the photo.
        margin_px: as for `seen_whole`.

    Returns:
        (N,) bool, True for those that can go.
    """
    # NOT IN PAPER: everything here; the paper evaluates tiles and does not say how a photo's tiles
    # are put together.
    own = tiles_xyxy[detections.tiles]
    cut = ~seen_whole(detections.boxes_xyxy, own, image_hw, margin_px)
    # Of a box that is cut, the views are those of other tiles.
    cut[cut] = count_views(detections.boxes_xyxy[cut], tiles_xyxy, image_hw, margin_px) > 0
    return cut


def _inner_interval(intervals: np.ndarray, length_px: int, margin_px: float) -> np.ndarray:
    """(M, 2): the part of each tile that keeps the distance; the photo's own edges need none."""
    start, end = intervals.astype(np.float64).T
    return np.stack(
        [
            np.where(start > 0, start + margin_px, -np.inf),
            np.where(end < length_px, end - margin_px, np.inf),
        ],
        axis=-1,
    )


def _inside(spans: np.ndarray, intervals: np.ndarray) -> np.ndarray:
    return (spans[..., 0] >= intervals[..., 0]) & (spans[..., 1] <= intervals[..., 1])
