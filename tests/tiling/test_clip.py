"""Which boxes a tile keeps, by hand and against a loop."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from acnet.tiling.clip import clip_boxes, clip_boxes_to_tiles

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
