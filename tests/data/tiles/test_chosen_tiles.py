"""What each split takes, and what is cut of each photo."""

import numpy as np
import pytest

from acnet.data.records import ImageRecord
from acnet.data.tiles.tile_plan import TileOptions, choose_tiles, photos_to_cut
from acnet.errors import UserError

OPTIONS = TileOptions(tile_px=64, overlap_px=32, empty_share=0.0)


def photo(name, image_hw=(50, 100), *boxes) -> ImageRecord:
    return ImageRecord(
        file_name=name,
        width=image_hw[1],
        height=image_hw[0],
        boxes_xyxy=np.array(boxes, np.float64).reshape(-1, 4),
        classes=np.zeros(len(boxes), np.int64),
    )


def test_by_hand():
    # Columns at 0, 32 and 36; the box is whole in the first tile only. The photo of one tile is
    # empty, so that training leaves it out.
    large, small = photo("b.jpg", (50, 100), (2, 3, 20, 30)), photo("a.jpg", (9, 8))
    splits = {"train": [large, small], "test": [large]}
    chosen = choose_tiles(splits, OPTIONS)
    names = {split: [tile.file_name for tile in tiles] for split, tiles in chosen.items()}
    tiles = [f"b_y00000_x000{x}.jpg" for x in ("00", "32", "36")]
    assert names == {"train": tiles[:1], "test": tiles}
    assert chosen["train"][0] is chosen["test"][0]  # planned once
    first, second = photos_to_cut(splits, chosen)
    assert (first.file_name, first.image_hw, first.tiles) == ("a.jpg", (9, 8), ())
    assert [tile.file_name for tile in second.tiles] == tiles
    assert second.tiles[2].tile_xyxy == (36, 0, 100, 50)


def test_splits_may_differ_on_a_photos_boxes():
    splits = {"test_0": [photo("b.jpg", (50, 100), (2, 3, 20, 30))], "test_1": [photo("b.jpg")]}
    chosen = choose_tiles(splits, OPTIONS)
    counts = {split: sum(len(t.boxes_xyxy) for t in tiles) for split, tiles in chosen.items()}
    assert counts == {"test_0": 1, "test_1": 0}
    (cut,) = photos_to_cut(splits, chosen)
    assert len(cut.tiles) == 3


def test_photos_of_one_stem_would_overwrite_each_other():
    splits = {"test": [photo("a/b.jpg"), photo("a/b.png")]}
    with pytest.raises(UserError, match=r"a/b\.jpg and a/b\.png, which both give a/b_y00000_x0"):
        photos_to_cut(splits, choose_tiles(splits, OPTIONS))


def test_a_photo_has_one_size():
    splits = {"test_0": [photo("b.jpg")], "test_1": [photo("b.jpg", (50, 101))]}
    with pytest.raises(UserError, match=r"b\.jpg with \(H, W\) = \(50, 100\) and \(50, 101\)"):
        photos_to_cut(splits, choose_tiles(splits, OPTIONS))


def test_no_photos():
    assert photos_to_cut({"test": []}, choose_tiles({"test": []}, OPTIONS)) == []
