"""Which splits must not share photos."""

import pytest

from acnet.data.audit.twins import disjoint_splits


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (["train"], []),
        ([], []),
        (["all", "train"], []),
        (["test", "train", "valid"], [("train", "test"), ("train", "valid"), ("valid", "test")]),
        (["Test", "Training"], [("Training", "Test")]),
        # the folds of ACNE04: only the same fold's lists
        (
            ["trainval_0", "test_0", "trainval_1", "test_1"],
            [("trainval_0", "test_0"), ("trainval_1", "test_1")],
        ),
        (["train2017", "val2017"], [("train2017", "val2017")]),
        (["train_fold1", "val_fold1", "val_fold2"], [("train_fold1", "val_fold1")]),
        # VOC: trainval is train and val together
        (["train", "val", "trainval"], [("train", "val")]),
    ],
)
def test_pairs_are_weaker_and_stronger(splits, expected):
    assert disjoint_splits(splits) == expected
