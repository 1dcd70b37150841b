"""Tiles: their boxes against the photo's, and the choice of empty ones."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from acnet.data.records import ImageRecord, TileRecord
from acnet.data.tiles.tile_plan import (
    TileOptions,
    choose_tiles,
    photos_to_cut,
    plan_tiles,
    training_tiles,
)
from acnet.errors import UserError

OPTIONS = TileOptions(tile_px=64, overlap_px=32)
SPLIT_OPTIONS = TileOptions(tile_px=64, overlap_px=32, empty_share=0.0)


def photo(name="levle0_1.png", image_hw=(50, 100), *boxes) -> ImageRecord:
    return ImageRecord(
        file_name=name,
        width=image_hw[1],
        height=image_hw[0],
        boxes_xyxy=np.array(boxes, np.float64).reshape(-1, 4),
        classes=np.arange(len(boxes)),
    )


def test_boxes_are_shared_out_by_hand():
    # 100 wide: columns at 0, 32 and 100 - 64 = 36; 50 high: one row, bounded by the photo.
    tiles = plan_tiles(photo("levle0_1.png", (50, 100), (10, 5, 20, 15), (60, 10, 80, 30)), OPTIONS)
    assert [tile.offset_xy for tile in tiles] == [(0, 0), (32, 0), (36, 0)]
    assert {(tile.width, tile.height) for tile in tiles} == {(64, 50)}
    # The first box is whole in the first tile only; of the second, 4/20 lie in the first tile.
    assert [tile.boxes_xyxy.tolist() for tile in tiles] == [
        [[10, 5, 20, 15]],
        [[28, 10, 48, 30]],
        [[24, 10, 44, 30]],
    ]
    assert [tile.classes.tolist() for tile in tiles] == [[0], [1], [1]]
    assert [tile.file_name for tile in tiles] == [
        "levle0_1_y00000_x00000.jpg",
        "levle0_1_y00000_x00032.jpg",
        "levle0_1_y00000_x00036.jpg",
    ]


def test_one_tile_is_no_tiling():
    record = photo("levle0_1.png", (50, 60), (1, 2, 30, 40), (50, 40, 60, 50))
    (tile,) = plan_tiles(record, OPTIONS)
    assert_array_equal(tile.boxes_xyxy, record.boxes_xyxy)
    assert tile.file_name == record.file_name


def tile(name: str, *boxes) -> TileRecord:
    fields = vars(photo(name, (64, 64), *boxes))
    return TileRecord(**fields, photo_file_name="a.jpg", offset_xy=(0, 0))


def test_a_share_of_the_empty_tiles_is_chosen_by_name():
    empty = [tile(f"{i}.jpg") for i in range(1000)]
    full = tile("full.jpg", (1, 1, 5, 5))
    assert training_tiles([full, *empty], 0.0) == [full]
    assert training_tiles([full, *empty], 1.0) == [full, *empty]
    tenth = training_tiles([full, *empty], 0.1)
    # 1000 trials at 0.1: mean 100, standard deviation sqrt(1000 * 0.1 * 0.9) = 9.5
    assert 60 <= len(tenth) - 1 <= 140
    names = {tile.file_name for tile in tenth}
    assert names <= {tile.file_name for tile in training_tiles([full, *empty], 0.2)}
    half = training_tiles(empty[500:], 0.1)
    assert {tile.file_name for tile in half} == names - {"full.jpg"} - {
        f"{i}.jpg" for i in range(500)
    }


def test_chance_does_not_depend_on_the_format():
    def chosen(**options):
        planned = plan_tiles(photo("a.png", (700, 700)), dataclasses.replace(OPTIONS, **options))
        return [tile.offset_xy for tile in training_tiles(planned, 0.3)]

    assert 0 < len(chosen()) < 21**2
    assert chosen() == chosen(image_format="png")


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


def test_virtual_tiles_are_named_as_the_png_tiles_whose_pixels_they_have():
    assert TileOptions().suffix == ".jpg"
    assert TileOptions(image_format="png").suffix == TileOptions(virtual=True).suffix == ".png"


def test_by_hand():
    # Columns at 0, 32 and 36; the box is whole in the first tile only. The photo of one tile is
    # empty, so that training leaves it out.
    large, small = photo("b.jpg", (50, 100), (2, 3, 20, 30)), photo("a.jpg", (9, 8))
    splits = {"train": [large, small], "test": [large]}
    chosen = choose_tiles(splits, SPLIT_OPTIONS)
    names = {split: [tile.file_name for tile in tiles] for split, tiles in chosen.items()}
    tiles = [f"b_y00000_x000{x}.jpg" for x in ("00", "32", "36")]
    assert names == {"train": tiles[:1], "test": tiles}
    assert chosen["train"][0] is chosen["test"][0]  # planned once
    first, second = photos_to_cut(splits, chosen)
    assert (first.file_name, first.image_hw, first.tiles) == ("a.jpg", (9, 8), ())
    assert [tile.file_name for tile in second.tiles] == tiles
    assert (second.tiles[2].offset_xy, second.tiles[2].width) == ((36, 0), 64)


def test_splits_may_differ_on_a_photos_boxes():
    splits = {"test_0": [photo("b.jpg", (50, 100), (2, 3, 20, 30))], "test_1": [photo("b.jpg")]}
    chosen = choose_tiles(splits, SPLIT_OPTIONS)
    counts = {split: sum(len(t.boxes_xyxy) for t in tiles) for split, tiles in chosen.items()}
    assert counts == {"test_0": 1, "test_1": 0}
    (cut,) = photos_to_cut(splits, chosen)
    assert len(cut.tiles) == 3


def test_photos_of_one_stem_would_overwrite_each_other():
    splits = {"test": [photo("a/b.jpg"), photo("a/b.png")]}
    with pytest.raises(UserError, match=r"a/b\.jpg and a/b\.png, which both give a/b_y00000_x0"):
        photos_to_cut(splits, choose_tiles(splits, SPLIT_OPTIONS))


def test_a_photo_has_one_size():
    splits = {"test_0": [photo("b.jpg")], "test_1": [photo("b.jpg", (50, 101))]}
    with pytest.raises(UserError, match=r"b\.jpg with \(H, W\) = \(50, 100\) and \(50, 101\)"):
        photos_to_cut(splits, choose_tiles(splits, SPLIT_OPTIONS))


def test_no_photos():
    assert photos_to_cut({"test": []}, choose_tiles({"test": []}, SPLIT_OPTIONS)) == []
