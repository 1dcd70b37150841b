"""Tiles of both grids, the parts that they answer for, and boxes cut to them."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from acnet.photos.grid import (
    clip_boxes,
    clip_boxes_to_tiles,
    even_grid,
    own_parts,
    tile_grid,
    tile_starts,
)


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


def test_a_photo_of_one_even_tile_stays_whole():
    assert_array_equal(even_grid((640, 640), tile_px=640, overlap_px=64), [[0, 0, 640, 640]])
    assert_array_equal(even_grid((300, 477), tile_px=640, overlap_px=64), [[0, 0, 477, 300]])


def test_two_tiles_are_no_longer_than_they_need_be():
    # 700 pixels by two tiles that share 64: (700 + 64) / 2 = 382, rounded up to 384. The second
    # starts at 700 - 384 = 316, so they share 68.
    expected = [[0, 0, 384, 100], [316, 0, 700, 100]]
    assert_array_equal(even_grid((100, 700), tile_px=640, overlap_px=64), expected)


def test_a_photo_of_acne04s_usual_size_in_even_tiles():
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


def centred_in(boxes_xyxy: np.ndarray, part_xyxy: np.ndarray) -> np.ndarray:
    """Tell which boxes have their centre in a part, ends included."""
    centres = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    return ((centres >= part_xyxy[:2]) & (centres <= part_xyxy[2:])).all(axis=1)


TILES = np.array([[0, 0, 100, 50], [80, 0, 180, 50]])  # they share x from 80 to 100


def test_parts_meet_in_the_middle_of_the_overlap():
    far = np.inf
    assert_array_equal(own_parts(TILES, 0), [[-far, -far, 90, far], [90, -far, far, far]])
    assert_array_equal(own_parts(TILES, 5), [[-far, -far, 95, far], [85, -far, far, far]])


def test_one_tile_answers_for_all():
    parts = own_parts(np.array([[0, 0, 100, 50]]), 3)
    assert_array_equal(parts, [[-np.inf, -np.inf, np.inf, np.inf]])


def test_boxes_belong_where_their_centres_are():
    parts = own_parts(TILES, 0)
    boxes = np.array([[0, 0, 98, 50], [85, 10, 97, 20], [80, 0, 100, 50]])  # centres 49, 91, 90
    assert centred_in(boxes, parts[0]).tolist() == [True, False, True]
    assert centred_in(boxes, parts[1]).tolist() == [False, True, True]


def test_every_place_is_in_one_part_and_in_its_tile():
    tiles = even_grid((300, 410), tile_px=128, overlap_px=32)
    tiles = tiles[np.random.default_rng(0).permutation(len(tiles))]
    parts = own_parts(tiles, 0)
    places = np.random.default_rng(1).uniform(0, [410, 300], (500, 2))
    boxes = np.tile(places, 2)
    owned = np.array([centred_in(boxes, part) for part in parts])
    assert (owned.sum(axis=0) == 1).all()
    owner = tiles[owned.argmax(axis=0)]
    # Half of the least overlap, 16, lies between a place and the inner edges of its tile.
    inner_low = (owner[:, :2] == 0) | (places - owner[:, :2] >= 16)
    inner_high = (owner[:, 2:] == [410, 300]) | (owner[:, 2:] - places >= 16)
    assert inner_low.all()
    assert inner_high.all()


TILE = np.array([100, 200, 164, 264])


def test_half_of_the_area_is_enough_and_less_is_not():
    boxes = np.array(
        [
            [90.0, 210, 110, 220],  # 10 of 20 columns are right of x = 100: half
            [89.0, 210, 110, 220],  # 10 of 21
            [150.0, 250, 170, 270],  # 14/20 * 14/20 = 0.49
            [150.0, 250, 170, 268],  # 14/20 * 14/18 = 0.54
            [120.0, 220, 130, 230],  # whole
            [164.0, 210, 180, 220],  # touches the edge
        ]
    )
    clipped, kept = clip_boxes(boxes, TILE)
    assert kept.tolist() == [0, 3, 4]
    assert clipped.tolist() == [[0, 10, 10, 20], [50, 50, 64, 64], [20, 20, 30, 30]]


def test_one_pixel_inside_is_enough_at_a_tiny_share():
    _, kept = clip_boxes(
        np.array([[99.0, 210, 119, 220]]), np.array([90, 0, 100, 300]), min_share=0.05
    )
    assert kept.tolist() == [0]


def test_only_whole_boxes_at_a_share_of_one():
    boxes = np.array([[100.0, 200, 164, 264], [99.0, 200, 164, 264]])
    assert clip_boxes(boxes, TILE, min_share=1.0)[1].tolist() == [0]


def test_equals_a_loop_and_adding_the_offset_brings_the_photo_back():
    rng = np.random.default_rng(0)
    start = rng.integers(60, 260, (200, 2)).astype(float)
    boxes = np.concatenate([start, start + rng.integers(1, 60, (200, 2))], axis=1)
    clipped, kept = clip_boxes(boxes, TILE)
    expected = []
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        width = min(x1, TILE[2]) - max(x0, TILE[0])
        height = min(y1, TILE[3]) - max(y0, TILE[1])
        if width > 0 and height > 0 and width * height / ((x1 - x0) * (y1 - y0)) >= 0.5:
            expected.append(index)
    assert kept.tolist() == expected
    assert 0 < len(expected) < 200
    back = clipped + np.tile(TILE[:2], 2)
    inside = (boxes[kept, :2] >= TILE[:2]).all(1) & (boxes[kept, 2:] <= TILE[2:]).all(1)
    assert_array_equal(back[inside], boxes[kept][inside])
    assert_allclose(back, np.clip(boxes[kept], np.tile(TILE[:2], 2), np.tile(TILE[2:], 2)))


def test_no_boxes_and_boxes_without_area():
    clipped, kept = clip_boxes(np.zeros((0, 4)), TILE)
    assert clipped.shape == (0, 4)
    assert kept.shape == (0,)
    assert clip_boxes(np.array([[120.0, 220, 120, 230], [130, 230, 120, 220]]), TILE)[1].size == 0


@pytest.mark.parametrize("min_share", [0.0, -0.5, 1.01])
def test_a_share_out_of_range_is_refused(min_share):
    with pytest.raises(ValueError, match="min_share"):
        clip_boxes(np.zeros((1, 4)), TILE, min_share=min_share)


@pytest.mark.parametrize("count", [0, 1, 40])
def test_all_tiles_at_once_equal_one_after_the_other(count):
    rng = np.random.default_rng(count)
    start = rng.integers(-20, 280, (count, 2)).astype(float)
    boxes = np.concatenate([start, start + rng.integers(0, 60, (count, 2))], axis=1)
    offsets = rng.integers(0, 200, (30, 2))
    tiles = np.concatenate([offsets, offsets + 64], axis=1)
    found = clip_boxes_to_tiles(boxes, tiles, min_share=0.3)
    for tile, (clipped, kept) in zip(tiles, found, strict=True):
        expected, indices = clip_boxes(boxes, tile, min_share=0.3)
        assert_array_equal(clipped, expected)
        assert_array_equal(kept, indices)
        assert clipped.dtype == expected.dtype
    assert clip_boxes_to_tiles(boxes, tiles[:0]) == []
