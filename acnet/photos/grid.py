"""Where the tiles of a photo lie."""

import numpy as np

TILE_PX = 640
OVERLAP_PX = 320


def tile_starts(length_px: int, tile_px: int, overlap_px: int) -> list[int]:
    """Returns where the tiles begin along one side of a photo.

    Args:
        length_px: the photo's side.
        tile_px: the tile's side.
        overlap_px: what neighbours share, at least; from 0 to below `tile_px`.

    Returns:
        Rising starts from 0. The last tile is shifted inward to end with the photo, so it may share
        more than the overlap; a side no longer than the tile has the one start 0.
    """
    last = max(length_px - tile_px, 0)
    return [*range(0, last, tile_px - overlap_px), last]


def tile_grid(
    image_hw: tuple[int, int], *, tile_px: int = TILE_PX, overlap_px: int = OVERLAP_PX
) -> np.ndarray:
    """Lays tiles over a photo, row by row.

    Args:
        image_hw: the photo's height and width in pixels.
        tile_px: side of the square tiles. A side of the photo that is shorter bounds the tile, so
            a photo with both sides at most `tile_px` is one tile.
        overlap_px: what neighbours share, at least.

    Returns:
        (N, 4) int64 XYXY, end exclusive; every pixel is covered, every tile lies inside.

    Raises:
        ValueError: an empty photo, an empty tile, or an overlap that leaves no step.

    Reference: Sec. IV-A.
    """
    height, width = image_hw
    if height < 1 or width < 1:
        raise ValueError(f"A photo has pixels on both sides. Received (H, W) = {image_hw}.")
    if not 0 <= overlap_px < tile_px:
        raise ValueError(
            "The overlap must be at least 0 and smaller than the tile, or the tiles do not advance."
            f" Received overlap_px={overlap_px}, tile_px={tile_px}. Choose a smaller overlap."
        )
    top, left = np.meshgrid(
        tile_starts(height, tile_px, overlap_px),
        tile_starts(width, tile_px, overlap_px),
        indexing="ij",
    )
    right, bottom = np.minimum(left + tile_px, width), np.minimum(top + tile_px, height)
    return np.stack([left, top, right, bottom], axis=-1).reshape(-1, 4)
