"""What the options say about names of splits and of tiles."""

import pytest

from acnet.data.tiles.tile_plan import TileOptions


@pytest.mark.parametrize("split", ["train", "trainval_0", "training", "train2017"])
def test_splits_for_training_leave_empty_tiles_out(split):
    assert TileOptions(empty_share=0.2).share_of_empty(split) == 0.2


@pytest.mark.parametrize("split", ["val", "valid", "test_3", "Train", "pretrain"])
def test_what_may_be_evaluated_is_whole(split):
    assert TileOptions(empty_share=0.2).share_of_empty(split) == 1.0


def test_the_splits_for_training_can_be_named():
    options = TileOptions(empty_share=0.2, train_splits=("fold_[0-3]", "extra"))
    shares = {name: options.share_of_empty(name) for name in ("fold_0", "fold_4", "extra", "train")}
    assert shares == {"fold_0": 0.2, "fold_4": 1.0, "extra": 0.2, "train": 1.0}
    assert TileOptions(train_splits=()).share_of_empty("train") == 1.0


def test_virtual_tiles_are_named_as_the_png_tiles_whose_pixels_they_have():
    assert TileOptions().suffix == ".jpg"
    assert TileOptions(image_format="png").suffix == TileOptions(virtual=True).suffix == ".png"
