"""Tile grids, counted by hand, and covering everything."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from acnet.tiling.grid import tile_grid, tile_starts


def test_photo_of_one_tile_stays_whole():
    assert_array_equal(tile_grid((640, 640)), [[0, 0, 640, 640]])
    assert_array_equal(tile_grid((300, 477)), [[0, 0, 477, 300]])


def test_one_pixel_more_needs_a_second_tile_shifted_inward():
    # 641 wide: the second tile would start at 320 and end at 960; shifted inward it ends at 641.
    assert_array_equal(tile_grid((640, 641)), [[0, 0, 640, 640], [1, 0, 641, 640]])


def test_a_short_side_bounds_the_tile():
    # 1000 wide: starts 0 and 320 (ends 960), then 640 shifted inward to 1000 - 640 = 360.
    expected = [[0, 0, 640, 300], [320, 0, 960, 300], [360, 0, 1000, 300]]
    assert_array_equal(tile_grid((300, 1000)), expected)


def test_a_photo_of_acne04s_usual_size():
    # Width 3112: steps of 320 up to the last start 3112 - 640 = 2472, which 2472 / 320 = 7.7 puts
    # after 0, 320 ... 2240 (8 starts): 9 columns. Height 3456: last start 2816 = 8.8 steps, after
    # 0 ... 2560 (9 starts): 10 rows.
    tiles = tile_grid((3456, 3112))
    assert tiles.shape == (90, 4)
    assert tiles[8].tolist() == [2472, 0, 3112, 640]
    assert tiles[9].tolist() == [0, 320, 640, 960]
    assert tiles[-1].tolist() == [2472, 2816, 3112, 3456]


def test_a_last_start_on_the_step_is_not_doubled():
    assert tile_starts(1280, 640, 320) == [0, 320, 640]
    assert tile_starts(1281, 640, 320) == [0, 320, 640, 641]


def test_no_overlap_tiles_exactly():
    assert_array_equal(tile_grid((2, 4), tile_px=2, overlap_px=0), [[0, 0, 2, 2], [2, 0, 4, 2]])


@pytest.mark.parametrize(("tile_px", "overlap_px"), [(7, 0), (7, 3), (7, 6), (40, 10)])
def test_every_pixel_is_covered_and_neighbours_share_the_overlap(tile_px, overlap_px):
    for height in range(1, 30, 4):
        for width in range(1, 30, 3):
            tiles = tile_grid((height, width), tile_px=tile_px, overlap_px=overlap_px)
            covered = np.zeros((height, width), int)
            for x0, y0, x1, y1 in tiles:
                assert (x1 - x0, y1 - y0) == (min(tile_px, width), min(tile_px, height))
                covered[y0:y1, x0:x1] += 1
            assert covered.min() >= 1
            starts = tile_starts(width, tile_px, overlap_px)
            assert all(a + tile_px - b >= overlap_px for a, b in itertools.pairwise(starts))
            assert starts == sorted(set(starts))


@pytest.mark.parametrize("overlap_px", [-1, 640, 700])
def test_an_overlap_that_leaves_no_step_is_refused(overlap_px):
    with pytest.raises(ValueError, match=f"overlap_px={overlap_px}.*Choose a smaller overlap"):
        tile_grid((1000, 1000), tile_px=640, overlap_px=overlap_px)


def test_an_empty_photo_is_refused():
    with pytest.raises(ValueError, match=r"\(0, 5\)"):
        tile_grid((0, 5))
