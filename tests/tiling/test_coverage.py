"""Which tiles see a place whole.

Two tiles of 100 x 100 side by side, that share 20 pixels:

    tile 0: x from 0 to 100      tile 1: x from 80 to 180      the photo: 180 x 100
"""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from acnet.tiling.coverage import count_views, cut_and_seen_elsewhere, seen_whole
from tests.tiling.samples import detections, random_case

TILES = np.array([[0, 0, 100, 100], [80, 0, 180, 100]])
IMAGE_HW = (100, 180)


def box(left: float, right: float) -> list[float]:
    return [left, 40, right, 60]


@pytest.mark.parametrize(
    ("one", "tile", "whole"),
    [
        (box(50, 60), 0, True),
        (box(50, 96), 0, True),  # 4 pixels from the inner edge
        (box(50, 97), 0, False),
        (box(0, 60), 0, True),  # at the photo's own edge
        (box(90, 180), 1, True),
        (box(83, 120), 1, False),
    ],
)
def test_a_box_keeps_its_distance_from_inner_edges_only(one, tile, whole):
    answer = seen_whole(np.array([one]), TILES[[tile]], IMAGE_HW, 4)
    assert answer.tolist() == [whole]


def test_views_are_counted():
    boxes = np.array([box(10, 20), box(85, 95), box(85, 99), box(70, 99)])
    # Only tile 0; both; tile 1 alone, since 99 is near the end of tile 0; none.
    assert count_views(boxes, TILES, IMAGE_HW, 4).tolist() == [1, 2, 1, 0]


def test_views_are_those_of_all_pairs():
    found, tiles, image_hw = random_case(0)
    boxes = found.boxes_xyxy
    expected = [seen_whole(boxes, np.tile(t, (len(boxes), 1)), image_hw, 6) for t in tiles]
    assert_array_equal(count_views(boxes, tiles, image_hw, 6), np.sum(expected, axis=0))


def test_a_cut_box_goes_where_another_tile_sees_its_place():
    found = detections(
        [
            (0, 0.9, box(90, 100)),  # the left part of a lesion; tile 1 sees its place whole
            (1, 0.9, box(90, 110)),  # the lesion
            (0, 0.9, box(70, 100)),  # longer than the overlap: tile 1 sees but its right part
            (1, 0.9, box(80, 100)),  # that part, of which tile 0 sees no more
            (0, 0.9, box(10, 20)),
        ]
    )
    answer = cut_and_seen_elsewhere(found, TILES, IMAGE_HW, 4)
    assert answer.tolist() == [True, False, False, False, False]


def test_the_views_of_a_cut_box_are_those_of_other_tiles():
    found, tiles, image_hw = random_case(1, count=500)
    dropped = cut_and_seen_elsewhere(found, tiles, image_hw, 6)
    assert 0 < dropped.sum() < len(found)
    gone = found.take(dropped)
    assert not seen_whole(gone.boxes_xyxy, tiles[gone.tiles], image_hw, 6).any()
    assert (count_views(gone.boxes_xyxy, tiles, image_hw, 6) > 0).all()


def test_nothing_is_cut_in_one_tile():
    found = detections([(0, 0.5, [0, 0, 100, 100]), (0, 0.5, [90, 90, 100, 100])])
    tile = np.array([[0, 0, 100, 100]])
    assert not cut_and_seen_elsewhere(found, tile, (100, 100), 8).any()


def test_no_boxes():
    empty = detections([])
    assert cut_and_seen_elsewhere(empty, TILES, IMAGE_HW, 4).shape == (0,)
    assert count_views(empty.boxes_xyxy, TILES, IMAGE_HW, 4).shape == (0,)
