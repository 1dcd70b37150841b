"""Maps of tiles, blended."""

import numpy as np
import pytest

from acnet.inference.saliency import blend_saliency
from acnet.tiling.even_grid import even_grid


def test_tiles_that_agree_are_not_changed():
    tiles = even_grid((100, 150), tile_px=64, overlap_px=16)
    maps = [np.full((64, 64), 0.25, np.float32)] * len(tiles)
    blended = blend_saliency(maps, tiles, (100, 150))
    assert blended == pytest.approx(np.full((13, 19), 0.25))


@pytest.mark.parametrize("overlap_px", [0, 20])
def test_each_place_keeps_its_value(overlap_px):
    # A ramp over the photo, of which each tile shows its part: cell i of 20 has its centre at
    # 8 i + 4.
    photo = np.tile(np.arange(160, dtype=np.float32), (80, 1))
    tiles = even_grid((80, 160), tile_px=60, overlap_px=overlap_px)
    maps = [photo[top:bottom, left:right] for left, top, right, bottom in tiles]
    blended = blend_saliency(maps, tiles, (80, 160))
    assert blended == pytest.approx(np.tile(np.arange(20) * 8 + 4, (10, 1)), abs=1)


def test_tiles_that_disagree_are_blended_by_the_distance_from_their_edges():
    # Two tiles of 0 and 1 share 40 pixels: between them the map rises from the one to the other.
    tiles = np.array([[0, 0, 100, 80], [60, 0, 160, 80]])
    maps = [np.zeros((80, 100)), np.ones((80, 100))]
    row = blend_saliency(maps, tiles, (80, 160))[5]
    assert row[:7].tolist() == [0] * 7  # centres up to 52
    assert row[-7:].tolist() == [1] * 7
    assert (np.diff(row) >= 0).all()
    assert row[10] == pytest.approx(0.5, abs=0.15)  # at 84
    assert 0 < row[8] < row[9] < row[10] < row[11] < 1
