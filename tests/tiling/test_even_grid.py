"""Even tiles, counted by hand, and covering everything with the overlap asked for."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from acnet.tiling.even_grid import even_grid
from acnet.tiling.grid import tile_grid


def test_photo_of_one_tile_stays_whole():
    assert_array_equal(even_grid((640, 640), tile_px=640, overlap_px=64), [[0, 0, 640, 640]])
    assert_array_equal(even_grid((300, 477), tile_px=640, overlap_px=64), [[0, 0, 477, 300]])


def test_two_tiles_are_no_longer_than_they_need_be():
    # 700 pixels by two tiles that share 64: (700 + 64) / 2 = 382, rounded up to 384. The second
    # starts at 700 - 384 = 316, so they share 68.
    expected = [[0, 0, 384, 100], [316, 0, 700, 100]]
    assert_array_equal(even_grid((100, 700), tile_px=640, overlap_px=64), expected)


def test_a_photo_of_acne04s_usual_size():
    # 3456: steps of 1152 pass the last start 2176 with the third tile; (3456 + 2 * 128) / 3 =
    # 1237.3, rounded up to 1248; starts 0, (3456 - 1248) / 2 = 1104, 2208. 3112 likewise: 1152.
    tiles = even_grid((3456, 3112), tile_px=1280, overlap_px=128)
    assert len(tiles) == 9
    assert tiles[0].tolist() == [0, 0, 1152, 1248]
    assert tiles[-1].tolist() == [1960, 2208, 3112, 3456]


def test_the_grid_of_training_where_its_tiles_fit_exactly():
    # 1600 = 640 + 3 * 320.
    assert_array_equal(
        even_grid((1600, 1600), tile_px=640, overlap_px=320), tile_grid((1600, 1600))
    )


@given(
    height=st.integers(1, 3000),
    width=st.integers(1, 3000),
    tile_px=st.integers(1, 700),
    share=st.floats(0, 0.9),
)
def test_tiles_cover_the_photo_and_share_the_overlap(height, width, tile_px, share):
    overlap_px = int(share * tile_px)
    if tile_px - overlap_px < 20:  # thousands of tiles
        tile_px += 20
    tiles = even_grid((height, width), tile_px=tile_px, overlap_px=overlap_px)
    sides = tiles[:, 2:] - tiles[:, :2]
    assert (sides == sides[0]).all()
    assert sides.max() <= tile_px
    for start, end, length in ((0, 2, width), (1, 3, height)):
        intervals = sorted({(tile[start], tile[end]) for tile in tiles.tolist()})
        assert intervals[0][0] == 0
        assert intervals[-1][1] == length
        for (_, end_before), (start_after, _) in itertools.pairwise(intervals):
            assert end_before - start_after >= overlap_px


def test_wrong_numbers_are_refused():
    with pytest.raises(ValueError, match="Received overlap_px=64, tile_px=64"):
        even_grid((100, 100), tile_px=64, overlap_px=64)
    with pytest.raises(ValueError, match=r"Received \(H, W\) = \(0, 100\)"):
        even_grid((0, 100), tile_px=64, overlap_px=32)


def test_exact_tiles_share_more_instead_of_being_smaller():
    # 700 pixels by two tiles of 640: the second starts at 60. The photo's height is not cut.
    expected = [[0, 0, 640, 100], [60, 0, 700, 100]]
    found = even_grid((100, 700), tile_px=640, overlap_px=64, exact=True)
    assert_array_equal(found, expected)
