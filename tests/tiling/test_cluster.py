"""Weighted box clustering, by hand.

Two tiles that share x from 80 to 100, as in test_coverage.py.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from acnet.tiling.cluster import cluster
from tests.tiling.samples import detections

TILES = np.array([[0, 0, 100, 100], [80, 0, 180, 100]])
OPTIONS = {"iou_threshold": 0.5, "margin_px": 2}


def merged(rows):
    return cluster(detections(rows).best_first(), TILES, (100, 180), **OPTIONS)


def test_a_lesion_in_one_tile_keeps_box_and_score():
    answer = merged([(0, 0.8, [10, 10, 20, 20])])
    assert_allclose(answer.boxes_xyxy, [[10, 10, 20, 20]])
    assert_allclose(answer.scores, [0.8])


def test_equal_views_stay_as_they_are():
    answer = merged([(0, 0.8, [85, 10, 95, 20]), (1, 0.8, [85, 10, 95, 20])])
    assert_allclose(answer.boxes_xyxy, [[85, 10, 95, 20]])
    assert_allclose(answer.scores, [0.8])


def test_a_lesion_that_one_of_two_tiles_missed_loses_half():
    # sum(w s) / (sum(w) + missed * mean(w)) = 0.8 / (1 + 1).
    assert_allclose(merged([(0, 0.8, [85, 10, 95, 20])]).scores, [0.4])


def test_two_views_are_averaged_by_overlap_and_score():
    # The second begins 2 pixels further right: IoU = 8 / 12 = 2/3, its weight.
    # score = (1 * 0.9 + 2/3 * 0.6) / (5/3) = 1.3 / (5/3) = 0.78
    # left = (0.9 * 84 + 0.4 * 86) / 1.3 = 84 + 0.8 / 1.3
    answer = merged([(0, 0.9, [84, 10, 94, 20]), (1, 0.6, [86, 10, 96, 20])])
    assert_allclose(answer.scores, [0.78], rtol=1e-6)
    shift = 0.8 / 1.3
    assert_allclose(answer.boxes_xyxy, [[84 + shift, 10, 94 + shift, 20]], rtol=1e-6)


def test_two_boxes_of_a_tile_stay_two():
    # IoU 2/3 in one tile: its Soft-NMS has left them both, as two lesions.
    answer = merged([(0, 0.9, [10, 10, 20, 20]), (0, 0.6, [12, 10, 22, 20])])
    assert_allclose(answer.scores, [0.9, 0.6])


def test_a_leader_takes_the_closest_box_of_the_other_tile():
    # Tile 1 has two boxes close to the leader; the second, which fits better, is its view.
    answer = merged(
        [
            (0, 0.9, [84, 10, 94, 20]),
            (1, 0.8, [86, 10, 96, 20]),
            (1, 0.7, [84, 10, 94, 20]),
        ]
    )
    # (0.9 + 0.7) / 2 = 0.8; the other is missed by tile 0, 0.8 / 2 = 0.4.
    assert_allclose(answer.scores, [0.8, 0.4])


def test_classes_stay_apart():
    answer = merged([(0, 0.9, [85, 10, 95, 20], 0), (1, 0.6, [85, 10, 95, 20], 1)])
    assert answer.classes.tolist() == [0, 1]
    assert_allclose(answer.scores, [0.45, 0.3])


def test_a_tile_that_sees_a_part_only_is_not_said_to_miss_it():
    # It ends 1 pixel from tile 0's end, within the margin: tile 1 alone is asked.
    assert_allclose(merged([(1, 0.8, [85, 10, 99, 20])]).scores, [0.8])


@pytest.mark.parametrize("rows", [[]])
def test_no_boxes(rows):
    answer = merged(rows)
    assert answer.boxes_xyxy.shape == (0, 4)
    assert answer.scores.shape == (0,)
