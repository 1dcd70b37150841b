"""The saliency of a whole photo, blended from that of its tiles."""

from collections.abc import Iterable

import numpy as np

from acnet.inference.tiling import Progress

CELL_PX = 8  # of the photo's map: the stride at which the mask attention works


def blend_saliency(
    maps: Iterable[np.ndarray],
    tiles_xyxy: np.ndarray,
    image_hw: tuple[int, int],
    *,
    progress: Progress | None = None,
) -> np.ndarray:
    """Average the maps of tiles, each weighing less towards its edges.

    Args:
        maps: for each tile its map, (h, w) in [0, 1] over the tile, of any resolution.
        tiles_xyxy: (T, 4), covering the photo.
        image_hw: height and width of the photo.
        progress: called after each tile.

    Returns:
        (H / 8, W / 8) float32, rounded up, over the whole photo.
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

    Returns:
        The cells, the place of each in the tile's map, and its weight: the distance of its centre
        from the tile's nearer end in pixels.
    """
    centres = (np.arange(num_cells) + 0.5) * length_px / num_cells
    first, last = np.searchsorted(centres, [start, end])
    inside = centres[first:last]
    in_map = ((inside - start) / (end - start) * map_length).astype(np.int64)
    # + 1: a centre on the end of the only tile that has it must weigh something.
    ramp = np.minimum(inside - start, end - inside) + 1
    return slice(first, last), in_map, ramp.astype(np.float32)
