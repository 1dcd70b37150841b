"""Loaders and evaluator for prepared tiles: one fold of ACNE04 or of the toy photos."""

from detectron2.config import LazyCall as L
from detectron2.data import build_detection_test_loader, get_detection_dataset_dicts
from detectron2.data import transforms as T

from acnet.data.tiles.mapper import TileMapper
from acnet.engine.loader import build_train_loader

dataloader = dict(
    train=L(build_train_loader)(
        # Tiles without boxes were chosen when the tiles were cut, so none is dropped here.
        dataset=L(get_detection_dataset_dicts)(names="acne04_trainval_0_tiles", filter_empty=False),
        mapper=L(TileMapper)(
            is_train=True,
            augmentations=[L(T.RandomFlip)(horizontal=True)],  # IV-A.1: "only horizontal flipping"
            image_format="${model.input_format}",
        ),
        total_batch_size=4,
        num_workers=2,
        seed="${train.seed}",
    ),
    test=L(build_detection_test_loader)(
        dataset=L(get_detection_dataset_dicts)(names="acne04_test_0_tiles", filter_empty=False),
        mapper=L(TileMapper)(
            is_train=False, augmentations=[], image_format="${model.input_format}"
        ),
        num_workers=2,
    ),
    # By name, so that a config is read without importing any evaluation.
    evaluator=L("acnet.evaluation.build_evaluator")(
        kind="lesion",  # or "detectron2": its own evaluator, the same AP, AP50 and AP75, no FROC
        dataset_name="${..test.dataset.names}",
        output_dir="${train.output_dir}",
    ),
)
