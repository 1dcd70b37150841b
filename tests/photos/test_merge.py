"""The merged photo: nothing depends on the order of the tiles, and each option does its part."""

import dataclasses

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torchvision.ops import box_iou, nms

from acnet.photos import merge
from acnet.photos.grid import even_grid
from acnet.photos.merge import (
    MergeOptions,
    TileDetections,
    blend_saliency,
    count_views,
    cut_and_seen_elsewhere,
    merge_tiles,
    overlapping_pairs,
    seen_whole,
)
from tests.photos.samples import detections, random_case

TILES = np.array([[0, 0, 100, 100], [80, 0, 180, 100]])  # they share x from 80 to 100
IMAGE_HW = (100, 180)


def merged(rows, **options):
    options = MergeOptions(**{"margin_px": 2, **options})
    return merge_tiles(detections(rows), TILES, IMAGE_HW, options)


def test_a_box_that_lost_takes_no_other_with_it():
    # Each overlaps the next by 15 of 25, 0.6: the second loses to the first, and the third stays.
    rows = [(0, 0.9, [80, 10, 100, 20]), (1, 0.8, [85, 10, 105, 20]), (0, 0.7, [90, 10, 110, 20])]
    assert_allclose(merged(rows, drop_cut=False).scores, [0.9, 0.7])


def test_a_cut_box_is_dropped_unless_told_otherwise_and_boxes_of_a_tile_are_left_alone():
    rows = [(0, 0.95, [90, 40, 100, 60]), (1, 0.9, [90, 40, 110, 60])]  # IoU 1/2
    answer = merged(rows)
    assert_allclose(answer.boxes_xyxy, [[90, 40, 110, 60]])
    assert_allclose(answer.scores, [0.9])
    assert len(merged(rows, drop_cut=False)) == 2
    close = [(0, 0.9, [10, 10, 20, 20]), (0, 0.6, [12, 10, 22, 20])]
    assert_allclose(merged(close).scores, [0.9, 0.6])


def test_best_detections_are_kept_equal_ones_in_the_order_of_their_places():
    rows = [(0, score, [x, 10, x + 5, 15]) for x, score in ((10, 0.2), (20, 0.9), (30, 0.5))]
    assert_allclose(merged(rows, max_detections=2).scores, [0.9, 0.5])
    assert_allclose(merged(rows, score_floor=0.4).scores, [0.9, 0.5])
    assert len(merged(rows, max_detections=None)) == 3
    rows = [(0, 0.5, [10, 30, 15, 35]), (0, 0.5, [30, 10, 35, 15]), (0, 0.5, [10, 10, 15, 15])]
    assert_allclose(merged(rows).boxes_xyxy[:, :2], [[10, 10], [30, 10], [10, 30]])


@pytest.mark.parametrize("options", [{}, {"drop_cut": False}])
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_tiles_and_detections_does_not_matter(seed, options):
    found, tiles, image_hw = random_case(seed)
    options = MergeOptions(**options)
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


def test_results_have_the_types_of_the_input():
    found, tiles, image_hw = random_case(0)
    for case in (found, found.take(np.zeros(len(found), bool))):
        answer = merge_tiles(case, tiles, image_hw, MergeOptions())
        for field in dataclasses.fields(TileDetections):
            given, got = getattr(case, field.name), getattr(answer, field.name)
            if given is None:  # a photo's size, which tiles do not know
                assert got is None
                continue
            assert (got.dtype, got.shape[1:]) == (given.dtype, given.shape[1:]), field.name
    assert len(answer) == 0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"iou_threshold": 1.1}, r"iou_threshold must be from 0 to 1\. Received 1\.1"),
        ({"margin_px": -1}, "margin_px must be at least 0"),
        ({"score_floor": 0}, "score_floor must be above 0"),
        ({"max_detections": 0}, "max_detections must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(option, message):
    with pytest.raises(ValueError, match=message):
        MergeOptions(**option)


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


def test_views_are_those_of_all_pairs_and_of_a_cut_box_those_of_other_tiles():
    found, tiles, image_hw = random_case(1, count=500)
    boxes = found.boxes_xyxy
    views = np.sum(
        [seen_whole(boxes, np.tile(tile, (len(boxes), 1)), image_hw, 6) for tile in tiles], axis=0
    )
    assert_array_equal(count_views(boxes, tiles, image_hw, 6), views)
    dropped = cut_and_seen_elsewhere(found, tiles, image_hw, 6)
    assert 0 < dropped.sum() < len(found)
    whole = seen_whole(boxes, tiles[found.tiles], image_hw, 6)
    assert_array_equal(dropped, ~whole & (views > 0))


def test_nothing_is_cut_in_one_tile_and_without_boxes():
    found = detections([(0, 0.5, [0, 0, 100, 100]), (0, 0.5, [90, 90, 100, 100])])
    tile = np.array([[0, 0, 100, 100]])
    assert not cut_and_seen_elsewhere(found, tile, (100, 100), 8).any()
    empty = detections([])
    assert cut_and_seen_elsewhere(empty, TILES, IMAGE_HW, 4).shape == (0,)
    assert count_views(empty.boxes_xyxy, TILES, IMAGE_HW, 4).shape == (0,)


@pytest.mark.parametrize("pairs_at_once", [1, 50, 10**6])
@pytest.mark.parametrize("above_iou", [0.0, 0.5])
def test_overlapping_pairs_are_those_of_all_pairs(monkeypatch, above_iou, pairs_at_once):
    monkeypatch.setattr(merge, "PAIRS_AT_ONCE", pairs_at_once)
    found, _, _ = random_case(3, count=80)
    boxes, classes, tiles = found.boxes_xyxy, found.classes, found.tiles
    may_meet = (classes[:, None] == classes) & (tiles[:, None] != tiles)
    ious = box_iou(*[torch.from_numpy(boxes)] * 2).numpy()
    expected = np.argwhere(np.triu(may_meet & (ious > above_iou), 1))
    assert len(expected) > 10
    found_pairs = overlapping_pairs(boxes, classes, tiles, above_iou=above_iou)
    assert_array_equal(np.transpose(found_pairs), expected)


def test_boxes_without_area_overlap_nothing_and_no_boxes_are_no_pairs():
    boxes = np.array([[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 9, 9]], np.float32)
    better, worse = overlapping_pairs(boxes, np.zeros(3), np.arange(3), above_iou=0.0)
    assert better.tolist() == worse.tolist() == []
    better, worse = overlapping_pairs(np.empty((0, 4)), np.empty(0), np.empty(0), above_iou=0.5)
    assert better.shape == worse.shape == (0,)


@pytest.mark.parametrize("seed", range(3))
def test_where_each_box_has_a_tile_of_its_own_it_is_nms(seed):
    found, tiles, image_hw = random_case(seed, classes=1)
    found = dataclasses.replace(found, tiles=np.arange(len(found))).best_first()
    options = MergeOptions(iou_threshold=0.4, drop_cut=False)
    answer = merge_tiles(found, tiles, image_hw, options)
    scores = torch.arange(len(found), 0, -1.0)  # the same order, without ties
    expected = nms(torch.from_numpy(found.boxes_xyxy), scores, 0.4).numpy()
    assert_array_equal(answer.boxes_xyxy, found.boxes_xyxy[expected])


@pytest.mark.parametrize("overlap_px", [0, 20])
def test_each_place_keeps_its_value(overlap_px):
    # A ramp over the photo, of which each tile shows its part: cell i of 19 has its centre at
    # (i + 1/2) * 150 / 19.
    photo = np.tile(np.arange(150, dtype=np.float32), (80, 1))
    tiles = even_grid((80, 150), tile_px=60, overlap_px=overlap_px)
    maps = [photo[top:bottom, left:right] for left, top, right, bottom in tiles]
    blended = blend_saliency(maps, tiles, (80, 150))
    assert blended == pytest.approx(np.tile((np.arange(19) + 0.5) * 150 / 19, (10, 1)), abs=1)


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
