"""Tiles for inference: as few and as small as cover the photo, all of one shape."""

import numpy as np

from acnet.tiling.grid import tile_starts

MULTIPLE_PX = 32  # what every backbone's strides divide, so that no tile is padded


def even_grid(
    image_hw: tuple[int, int], *, tile_px: int, overlap_px: int, exact: bool = False
) -> np.ndarray:
    """Lays tiles of one shape over a photo, evenly spread.

    Training cuts tiles of a fixed size and shifts the last one inward, where it repeats pixels
    that its neighbour has. Here each side is covered by as many tiles as `tile_grid` takes, made
    only as long as that needs: 3112 pixels by three tiles of 1152 rather than of 1280.

    Args:
        image_hw: the photo's height and width in pixels.
        tile_px: longest side of a tile. A side of the photo that is no longer is not cut.
        overlap_px: what neighbours share, at least.
        exact: sides that are cut are cut into `tile_px`, and neighbours share more instead.

    Returns:
        (N, 4) int64 XYXY, end exclusive, row by row; every pixel is covered, every tile lies
        inside. Sides are multiples of 32 where that is at most `tile_px`, unless they are the
        photo's own, or exact.

    Raises:
        ValueError: an empty photo, an empty tile, or an overlap that leaves no step.
    """
    if min(image_hw) < 1:
        raise ValueError(f"A photo has pixels on both sides. Received (H, W) = {image_hw}.")
    if not 0 <= overlap_px < tile_px:
        raise ValueError(
            "The overlap must be at least 0 and smaller than the tile, or the tiles do not advance."
            f" Received overlap_px={overlap_px}, tile_px={tile_px}. Choose a smaller overlap."
        )
    rows, columns = (_intervals(length, tile_px, overlap_px, exact) for length in image_hw)
    return np.array(
        [[left, top, right, bottom] for top, bottom in rows for left, right in columns], np.int64
    )


def _intervals(length_px: int, tile_px: int, overlap_px: int, exact: bool) -> list[tuple[int, int]]:
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
