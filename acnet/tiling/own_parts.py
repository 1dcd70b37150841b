"""Which part of a photo each of its overlapping tiles answers for.

Shape shorthand in this module:
    T: number of tiles
    N: number of boxes
"""

import numpy as np


def own_parts(tiles_xyxy: np.ndarray, slack_px: float) -> np.ndarray:
    """Divides a photo among its tiles along the middles of their overlaps.

    Where several tiles see a place, the one in whose part it lies sees most around it. With the
    slack a lesion on the line between two parts, whose centre each tile puts a little elsewhere,
    is nobody's less than once.

    Args:
        tiles_xyxy: (T, 4), all tiles of a grid: each of its rows has each of its columns.
        slack_px: what the parts are grown by, at least 0.

    Returns:
        (T, 4) float64 XYXY; parts at the photo's own edges have no end there.
    """
    # NOT IN PAPER: the paper evaluates tiles. Half of the overlap is what a lesion on the line
    # between two parts may measure beyond its centre, to be whole in both of their tiles.
    columns = _intervals(tiles_xyxy[:, 0], tiles_xyxy[:, 2], slack_px)
    rows = _intervals(tiles_xyxy[:, 1], tiles_xyxy[:, 3], slack_px)
    return np.stack([columns[:, 0], rows[:, 0], columns[:, 1], rows[:, 1]], axis=1)


def centred_in(boxes_xyxy: np.ndarray, part_xyxy: np.ndarray) -> np.ndarray:
    """Tells which boxes have their centre in a part.

    Args:
        boxes_xyxy: (N, 4).
        part_xyxy: (4,), or (N, 4), one for each box; ends included.

    Returns:
        (N,) bool.
    """
    centres = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    inside = (centres >= part_xyxy[..., :2]) & (centres <= part_xyxy[..., 2:])
    return inside.all(axis=1)


def _intervals(starts: np.ndarray, ends: np.ndarray, slack_px: float) -> np.ndarray:
    """(T, 2): between the middles of the overlaps along one side."""
    rising_starts, index = np.unique(starts, return_inverse=True)
    rising_ends = np.unique(ends)
    middles = (rising_starts[1:] + rising_ends[:-1]) / 2
    low = np.concatenate([[-np.inf], middles - slack_px])
    high = np.concatenate([middles + slack_px, [np.inf]])
    return np.stack([low[index], high[index]], axis=1)
