"""Detections to merge, by hand and at random, and pixels at random."""

import numpy as np

from acnet.photos.grid import even_grid
from acnet.photos.merge import TileDetections


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def detections(rows) -> TileDetections:
    """From rows of (tile, score, box) or (tile, score, box, class)."""
    rows = [(*row, 0)[:4] for row in rows]
    return TileDetections(
        boxes_xyxy=np.array([row[2] for row in rows], np.float32).reshape(-1, 4),
        scores=np.array([row[1] for row in rows], np.float32),
        classes=np.array([row[3] for row in rows], np.int64),
        tiles=np.array([row[0] for row in rows], np.int64),
    )


def random_case(seed: int, *, count: int = 200, classes: int = 2, side: int = 400):
    """Tiles of 160 that share 80, and boxes of 5 to 60 pixels in them, many of them close."""
    rng = np.random.default_rng(seed)
    tiles = even_grid((side, side), tile_px=160, overlap_px=80)
    places = rng.uniform(20, side - 20, (max(count // 8, 1), 2))
    centres = places[rng.integers(len(places), size=count)] + rng.normal(0, 3, (count, 2))
    sizes = rng.uniform(5, 60, (count, 2))
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
    inside = (centres[:, None] >= tiles[:, :2]) & (centres[:, None] < tiles[:, 2:])
    owner = np.array([rng.choice(np.flatnonzero(row)) for row in inside.all(axis=2)])
    boxes = np.clip(boxes, np.tile(tiles[owner, :2], 2), np.tile(tiles[owner, 2:], 2))
    # Coarse scores, so that many are equal.
    scores = rng.integers(1, 20, count) / 20
    found = TileDetections(
        boxes_xyxy=boxes.astype(np.float32),
        scores=scores.astype(np.float32),
        classes=rng.integers(classes, size=count),
        tiles=owner,
    )
    return found, tiles, (side, side)
