"""Tiles of a fixed size: their boxes against the photo's, and the choice of empty ones."""

import dataclasses
import itertools

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from acnet.data.records import ImageRecord, TileRecord
from acnet.data.tiles.tile_plan import (
    TileOptions,
    choose_tiles,
    clip_boxes,
    photos_to_cut,
    plan_tiles,
    tile_grid,
    training_tiles,
)
from acnet.errors import UserError
from acnet.photos.grid import tile_starts
from tests.data.samples import record

OPTIONS = TileOptions(tile_px=64, overlap_px=32)
SPLIT_OPTIONS = dataclasses.replace(OPTIONS, empty_share=0.0)


def photo(name="levle0_1.png", image_hw=(50, 100), *boxes) -> ImageRecord:
    return record(name, *boxes, image_hw=image_hw, classes=np.arange(len(boxes)))


def test_boxes_are_shared_out_by_hand():
    # 100 wide: columns at 0, 32 and 100 - 64 = 36; 50 high: one row, bounded by the photo.
    tiles = plan_tiles(photo("levle0_1.png", (50, 100), (10, 5, 20, 15), (60, 10, 80, 30)), OPTIONS)
    assert [tile.offset_xy for tile in tiles] == [(0, 0), (32, 0), (36, 0)]
    assert {(tile.width, tile.height) for tile in tiles} == {(64, 50)}
    # The first box is whole in the first tile only; of the second, 4/20 lie in the first tile.
    boxes = [[[10, 5, 20, 15]], [[28, 10, 48, 30]], [[24, 10, 44, 30]]]
    assert [tile.boxes_xyxy.tolist() for tile in tiles] == boxes
    assert [tile.classes.tolist() for tile in tiles] == [[0], [1], [1]]
    names = [f"levle0_1_y00000_x000{left}.jpg" for left in ("00", "32", "36")]
    assert [tile.file_name for tile in tiles] == names
    whole = photo("levle0_1.png", (50, 60), (1, 2, 30, 40), (50, 40, 60, 50))
    (tile,) = plan_tiles(whole, OPTIONS)  # one tile is no tiling
    assert_array_equal(tile.boxes_xyxy, whole.boxes_xyxy)
    assert tile.file_name == whole.file_name


def tile(name: str, *boxes) -> TileRecord:
    fields = vars(photo(name, (64, 64), *boxes))
    return TileRecord(**fields, photo_file_name="a.jpg", offset_xy=(0, 0))


def test_a_share_of_the_empty_tiles_is_chosen_by_name():
    def names(tiles, share):
        return {tile.file_name for tile in training_tiles(tiles, share)}

    full, empty = tile("full.jpg", (1, 1, 5, 5)), [tile(f"{i}.jpg") for i in range(1000)]
    everything = [full, *empty]
    assert training_tiles(everything, 0.0) == [full]
    assert training_tiles(everything, 1.0) == everything
    tenth = names(everything, 0.1)
    # 1000 trials at 0.1: mean 100, standard deviation sqrt(1000 * 0.1 * 0.9) = 9.5
    assert 60 <= len(tenth) - 1 <= 140
    assert tenth <= names(everything, 0.2)
    assert names(empty[500:], 0.1) == tenth & {one.file_name for one in empty[500:]}


def test_chance_does_not_depend_on_the_format():
    def chosen(**options):
        planned = plan_tiles(photo("a.png", (700, 700)), dataclasses.replace(OPTIONS, **options))
        return [tile.offset_xy for tile in training_tiles(planned, 0.3)]

    assert 0 < len(chosen()) < 21**2
    assert chosen() == chosen(image_format="png")
    assert TileOptions().suffix == ".jpg"  # virtual tiles have the pixels of PNG
    assert TileOptions(image_format="png").suffix == TileOptions(virtual=True).suffix == ".png"


def test_splits_for_training_leave_empty_tiles_out_and_others_are_whole():
    def shares(options, *names):
        return {name: options.share_of_empty(name) for name in names}

    train, whole = ("train", "trainval_0", "train2017"), ("val", "test_3", "Train", "pretrain")
    options = TileOptions(empty_share=0.2)
    assert shares(options, *train) == dict.fromkeys(train, 0.2)
    assert shares(options, *whole) == dict.fromkeys(whole, 1.0)
    options = TileOptions(empty_share=0.2, train_splits=("fold_[0-3]", "extra"))
    named = {"fold_0": 0.2, "fold_4": 1.0, "extra": 0.2, "train": 1.0}
    assert shares(options, *named) == named
    assert TileOptions(train_splits=()).share_of_empty("train") == 1.0


def test_the_tiles_of_splits_that_share_photos_by_hand():
    # Columns at 0, 32 and 36; the box is whole in the first tile only. The photo of one tile is
    # empty, so that training leaves it out.
    large, small = photo("b.jpg", (50, 100), (2, 3, 20, 30)), photo("a.jpg", (9, 8))
    # The last split has the large photo without its box.
    splits = {"train": [large, small], "test": [large], "test_1": [photo("b.jpg")]}
    chosen = choose_tiles(splits, SPLIT_OPTIONS)
    names = {split: [tile.file_name for tile in tiles] for split, tiles in chosen.items()}
    tiles = [f"b_y00000_x000{x}.jpg" for x in ("00", "32", "36")]
    assert names == {"train": tiles[:1], "test": tiles, "test_1": tiles}
    assert chosen["train"][0] is chosen["test"][0]  # planned once
    counts = {split: sum(len(t.boxes_xyxy) for t in tiles) for split, tiles in chosen.items()}
    assert counts == {"train": 1, "test": 1, "test_1": 0}
    first, second = photos_to_cut(splits, chosen)
    assert (first.file_name, first.image_hw, first.tiles) == ("a.jpg", (9, 8), ())
    assert [tile.file_name for tile in second.tiles] == tiles
    assert (second.tiles[2].offset_xy, second.tiles[2].width) == ((36, 0), 64)


def test_photos_of_one_stem_would_overwrite_each_other_and_a_photo_has_one_size():
    splits = {"test": [photo("a/b.jpg"), photo("a/b.png")]}
    with pytest.raises(UserError, match=r"a/b\.jpg and a/b\.png, which both give a/b_y00000_x0"):
        photos_to_cut(splits, choose_tiles(splits, SPLIT_OPTIONS))
    splits = {"test_0": [photo("b.jpg")], "test_1": [photo("b.jpg", (50, 101))]}
    with pytest.raises(UserError, match=r"b\.jpg with \(H, W\) = \(50, 100\) and \(50, 101\)"):
        photos_to_cut(splits, choose_tiles(splits, SPLIT_OPTIONS))
    assert photos_to_cut({"test": []}, choose_tiles({"test": []}, SPLIT_OPTIONS)) == []


@pytest.mark.parametrize(
    ("image_hw", "expected"),
    [
        ((640, 640), [[0, 0, 640, 640]]),
        ((300, 477), [[0, 0, 477, 300]]),
        # 641 wide: a second tile that started at 320 would end at 960; shifted, it ends at 641.
        ((640, 641), [[0, 0, 640, 640], [1, 0, 641, 640]]),
        # 960 wide: the second tile ends with the photo, and there is no third.
        ((640, 960), [[0, 0, 640, 640], [320, 0, 960, 640]]),
        # 1000 wide: starts 0 and 320 (ends 960), then 640 shifted inward to 1000 - 640 = 360. The
        # short side bounds the tiles.
        ((300, 1000), [[0, 0, 640, 300], [320, 0, 960, 300], [360, 0, 1000, 300]]),
    ],
)
def test_the_last_tile_is_shifted_inward_and_a_short_side_bounds_the_tile(image_hw, expected):
    assert_array_equal(tile_grid(image_hw), expected)


def test_a_photo_of_acne04s_usual_size():
    # Width 3112: steps of 320 up to the last start 3112 - 640 = 2472, which 2472 / 320 = 7.7 puts
    # after 0, 320 ... 2240 (8 starts): 9 columns. Height 3456: last start 2816 = 8.8 steps, after
    # 0 ... 2560 (9 starts): 10 rows.
    tiles = tile_grid((3456, 3112))
    assert tiles.shape == (90, 4)
    chosen = [[2472, 0, 3112, 640], [0, 320, 640, 960], [2472, 2816, 3112, 3456]]
    assert_array_equal(tiles[[8, 9, -1]], chosen)


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


TILE = np.array([100, 200, 164, 264])


def test_half_of_the_area_is_enough_and_less_is_not_unless_another_share_is_asked_for():
    boxes = np.array(
        [
            [90.0, 210, 110, 220],  # 10 of 20 columns are right of x = 100: half
            [89.0, 210, 110, 220],  # 10 of 21
            [150.0, 250, 170, 270],  # 14/20 * 14/20 = 0.49
            [150.0, 250, 170, 268],  # 14/20 * 14/18 = 0.54
            [120.0, 220, 130, 230],  # whole
            [164.0, 210, 180, 220],  # touches the edge
            [81.0, 210, 101, 220],  # 1 of 20
        ]
    )
    clipped, kept = clip_boxes(boxes, TILE)
    assert kept.tolist() == [0, 3, 4]
    assert clipped.tolist() == [[0, 10, 10, 20], [50, 50, 64, 64], [20, 20, 30, 30]]
    assert clip_boxes(boxes, TILE, min_share=0.05)[1].tolist() == [0, 1, 2, 3, 4, 6]
    assert clip_boxes(boxes, TILE, min_share=1.0)[1].tolist() == [4]


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
    low, high = np.tile(TILE[:2], 2), np.tile(TILE[2:], 2)
    assert_array_equal(clipped + low, np.clip(boxes[kept], low, high))


def test_no_boxes_boxes_without_area_and_shares_out_of_range():
    clipped, kept = clip_boxes(np.zeros((0, 4)), TILE)
    assert (clipped.shape, kept.shape) == ((0, 4), (0,))
    assert clip_boxes(np.array([[120.0, 220, 120, 230], [130, 230, 120, 220]]), TILE)[1].size == 0
    for min_share in (0.0, -0.5, 1.01):
        with pytest.raises(ValueError, match="min_share"):
            clip_boxes(np.zeros((1, 4)), TILE, min_share=min_share)
