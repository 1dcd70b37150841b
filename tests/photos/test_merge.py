"""The merged photo: nothing depends on the order of the tiles, and each option does its part."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from acnet.tiling.detections import TileDetections
from acnet.tiling.merge import METHODS, MergeOptions, merge_tiles
from tests.tiling.samples import detections, random_case

TILES = np.array([[0, 0, 100, 100], [80, 0, 180, 100]])  # they share x from 80 to 100
IMAGE_HW = (100, 180)
WHOLE, CUT = [90, 40, 110, 60], [90, 40, 100, 60]  # IoU 1/2


def merged(rows, **options):
    options = MergeOptions(**{"margin_px": 2, **options})
    return merge_tiles(detections(rows), TILES, IMAGE_HW, options)


@pytest.mark.parametrize("method", METHODS)
def test_a_lesion_that_two_tiles_see_alike_counts_once(method):
    twice = [(0, 0.9, [85, 10, 95, 20]), (1, 0.9, [85, 10, 95, 20])]
    answer = merged(twice, method=method)
    # exp(-1 / 0.5) = 0.135: the Gaussian decay leaves the second as 0.122.
    expected = [0.9, 0.9 * np.exp(-2)] if method == "soft_nms-gaussian" else [0.9]
    assert_allclose(answer.scores, expected, rtol=1e-6)


def test_soft_nms_keeps_a_poorer_view_with_a_lower_score():
    # IoU 8 / 12: 0.6 * (1 - 2/3) = 0.2.
    answer = merged(
        [(0, 0.9, [84, 10, 94, 20]), (1, 0.6, [86, 10, 96, 20])], method="soft_nms-linear"
    )
    assert_allclose(answer.scores, [0.9, 0.2], rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_cut_box_is_dropped_unless_told_otherwise(method):
    rows = [(0, 0.95, CUT), (1, 0.9, WHOLE)]
    answer = merged(rows, method=method)
    assert_allclose(answer.boxes_xyxy, [WHOLE])
    assert_allclose(answer.scores, [0.9])
    assert len(merged(rows, method=method, drop_cut=False)) == 2


def test_boxes_of_a_tile_compete_only_where_told():
    close = [(0, 0.9, [10, 10, 20, 20]), (0, 0.6, [12, 10, 22, 20])]
    assert_allclose(merged(close).scores, [0.9, 0.6])
    assert_allclose(merged(close, within_tiles=True).scores, [0.9])


def test_best_detections_are_kept():
    rows = [(0, score, [x, 10, x + 5, 15]) for x, score in ((10, 0.2), (20, 0.9), (30, 0.5))]
    assert_allclose(merged(rows, max_detections=2).scores, [0.9, 0.5])
    assert_allclose(merged(rows, score_floor=0.4).scores, [0.9, 0.5])
    assert len(merged(rows, max_detections=None)) == 3


def test_equal_scores_are_in_the_order_of_their_places():
    rows = [(0, 0.5, [10, 30, 15, 35]), (0, 0.5, [30, 10, 35, 15]), (0, 0.5, [10, 10, 15, 15])]
    assert_allclose(merged(rows).boxes_xyxy[:, :2], [[10, 10], [30, 10], [10, 30]])


@pytest.mark.parametrize("options", [{}, {"within_tiles": True}, {"drop_cut": False}])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_tiles_and_detections_does_not_matter(seed, method, options):
    found, tiles, image_hw = random_case(seed)
    options = MergeOptions(method=method, **options)
    expected = merge_tiles(found, tiles, image_hw, options)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(tiles))  # new index -> old
    renamed = dataclasses.replace(found, tiles=np.argsort(order)[found.tiles])
    shuffled = renamed.take(rng.permutation(len(found)))
    answer = merge_tiles(shuffled, tiles[order], image_hw, options)
    assert len(expected) > 10
    assert_array_equal(answer.boxes_xyxy, expected.boxes_xyxy)
    assert_array_equal(answer.scores, expected.scores)
    assert_array_equal(answer.classes, expected.classes)


@pytest.mark.parametrize("method", METHODS)
def test_results_have_the_types_of_the_input(method):
    found, tiles, image_hw = random_case(0)
    for case in (found, found.take(np.zeros(len(found), bool))):
        answer = merge_tiles(case, tiles, image_hw, MergeOptions(method=method))
        for field in dataclasses.fields(TileDetections):
            given, got = getattr(case, field.name), getattr(answer, field.name)
            assert got.dtype == given.dtype, field.name
            assert got.shape[1:] == given.shape[1:]
    assert len(answer) == 0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"method": "average"}, "one of cluster, nms, soft_nms-gaussian, soft_nms-linear"),
        ({"iou_threshold": 1.1}, r"iou_threshold must be from 0 to 1\. Received 1\.1"),
        ({"sigma": 0}, "sigma must be above 0"),
        ({"margin_px": -1}, "margin_px must be at least 0"),
        ({"score_floor": 0}, "score_floor must be above 0"),
        ({"max_detections": 0}, "max_detections must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(option, message):
    with pytest.raises(ValueError, match=message):
        MergeOptions(**option)
