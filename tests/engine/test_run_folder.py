"""What is checked before a run, whose folder it is, and what its start leaves there."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig
from detectron2.data import DatasetCatalog, MetadataCatalog
from omegaconf import OmegaConf

from acnet.engine.loader import build_train_loader
from acnet.engine.run_folder import (
    check_classes,
    check_datasets,
    check_run,
    compare_data,
    prepare_run,
)
from acnet.errors import UserError

NAME = "check_classes_test"


@pytest.fixture
def two_classes():
    """Register an empty data set, and return what describes it."""
    DatasetCatalog.register(NAME, list)
    yield MetadataCatalog.get(NAME).set(thing_classes=["acne", "scar"])
    DatasetCatalog.remove(NAME)
    MetadataCatalog.remove(NAME)


@pytest.mark.usefixtures("two_classes")
def test_the_number_of_classes_is_that_of_the_data():
    cfg = OmegaConf.create({"model": {"roi_heads": {"num_classes": 2}}})
    check_classes(cfg, [NAME, "not_registered"])
    check_classes(OmegaConf.create({}), [NAME])
    cfg.model.roi_heads.num_classes = 1
    with pytest.raises(UserError, match=r"acne, scar\. Set model\.roi_heads\.num_classes=2, or"):
        check_classes(cfg, [NAME])


NEW = Namespace(resume=False, eval_only=False)
RESUME = Namespace(resume=True, eval_only=False)
EVAL = Namespace(resume=False, eval_only=True)


@pytest.fixture
def occupied(tiny_cfg) -> Path:
    folder = Path(tiny_cfg().train.output_dir)
    folder.mkdir()
    names = ("last_checkpoint", "metrics.json", "model_0000002.pth", "model_best.pth", "notes.txt")
    for name in names:
        (folder / name).write_text("model_0000002.pth")
    return folder


def test_a_new_run_writes_its_config_and_log_and_sets_its_seed(tiny_cfg, tmp_path):
    draws = []
    for name, seed in {"a": 42, "b": 42, "c": 43}.items():
        prepare_run(tiny_cfg(f"train.seed={seed}", name=name), NEW)
        draws.append(torch.rand(()))
    assert draws[0] == draws[1] != draws[2]
    assert LazyConfig.load(str(tmp_path / "c" / "config.yaml")).train.seed == 43
    assert "Command line: Namespace" in (tmp_path / "c" / "log.txt").read_text()


def test_a_folder_with_another_run_is_an_error_with_three_remedies(tiny_cfg, occupied):
    before = sorted(occupied.iterdir())
    with pytest.raises(UserError, match=r"--resume .*train\.overwrite=true .*train\.output_dir="):
        prepare_run(tiny_cfg(), NEW)
    start = f"train.init_checkpoint={occupied / 'model_best.pth'}"
    with pytest.raises(UserError, match=r"told to delete.*another train\.output_dir"):
        prepare_run(tiny_cfg("train.overwrite=true", start), NEW)
    assert sorted(occupied.iterdir()) == before
    (occupied / "count.json").touch()  # fitted to the weights that go
    prepare_run(tiny_cfg("train.overwrite=true"), NEW)
    left = sorted(path.name for path in occupied.iterdir())
    assert left == ["config.yaml", "log.txt", "notes.txt"]


def test_weights_without_a_tag_are_not_deleted_either(tiny_cfg, tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("model_final.pth", "model_best.pth"):  # the first by name is told
        (tmp_path / "run" / name).touch()
        with pytest.raises(UserError, match=f"which holds {name}"):
            prepare_run(tiny_cfg(), NEW)


@pytest.mark.parametrize("args", [RESUME, EVAL])
def test_resuming_and_evaluating_leave_the_run_alone(tiny_cfg, occupied, args):
    prepare_run(tiny_cfg("train.overwrite=true"), args)
    assert (occupied / "model_best.pth").exists()
    assert not (occupied / "config.yaml").exists()  # a resumed one is kept when it was taken


def test_fast_dev_run_is_short_and_in_a_folder_of_its_own(tiny_cfg, occupied, capsys):
    cfg = tiny_cfg("train.fast_dev_run=true", "train.max_iter=1000")
    prepare_run(cfg, NEW)
    assert cfg.train.max_iter == 3
    assert Path(cfg.train.output_dir) == occupied / "fast_dev_run"
    assert (occupied / "metrics.json").exists()
    assert "the numbers mean nothing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.max_iter=null", r"Set one of them, such as train\.epochs=30\."),
        ("train.amp.enabled=maybe", r"train\.amp\.enabled=auto\."),
        ("train.init_checkpoint=no/such.pth", r"there is no file.*Correct the path"),
    ],
)
def test_a_mistake_is_found_before_anything_is_written(tiny_cfg, override, message):
    check_run(tiny_cfg(), NEW)
    check_run(tiny_cfg("train.init_checkpoint=detectron2://ImageNetPretrained/R-101.pkl"), NEW)
    with pytest.raises(UserError, match=message):
        check_run(tiny_cfg(override), NEW)


def test_a_data_set_must_be_known_and_there(two_classes, tmp_path):
    def load() -> None:
        raise UserError("Make it with: this")

    check_datasets([NAME])
    with pytest.raises(UserError, match=f"'{NAME}s'. Did you mean {NAME}"):
        check_datasets([f"{NAME}s"])
    DatasetCatalog.remove(NAME)
    DatasetCatalog.register(NAME, load)
    two_classes.json_file = str(tmp_path / "none.json")
    with pytest.raises(UserError, match="Make it with: this"):
        check_datasets([NAME])


@pytest.mark.parametrize(
    ("change", "is_told"),
    [
        (lambda record: None, False),
        (lambda record: record.update(file_name=f"/elsewhere/{record['file_name']}"), False),
        (lambda record: record.update(file_name="b.jpg"), True),
        (lambda record: record.update(height=9), True),
        (lambda record: record["annotations"].pop(), True),
        (lambda record: record["annotations"][0].update(bbox=[0, 0, 1, 2]), True),
        (lambda record: record["annotations"][0].update(category_id=1), True),
    ],
)
def test_a_resumed_run_tells_that_its_data_have_changed(tmp_path, caplog, change, is_told):
    def contents() -> dict:
        options = {"mapper": dict, "total_batch_size": 1, "num_workers": 0}
        return build_train_loader(dataset=[record], **options).contents

    box = {"bbox": [0, 0, 1, 1], "category_id": 0}
    record = {"file_name": "a.jpg", "width": 8, "height": 8, "annotations": [box, dict(box)]}
    compare_data(tmp_path, contents(), resume=False)
    change(record)
    compare_data(tmp_path, contents(), resume=True)
    assert ("The training data have changed" in caplog.text) == is_told


@pytest.mark.parametrize("kept", ["", "[]", "{"])
def test_spoilt_notes_on_the_data_are_told_too(tmp_path, caplog, kept):
    (tmp_path / "data.json").write_text(kept)
    compare_data(tmp_path, {"images": 1, "boxes": 0, "sha256": ""}, resume=True)
    assert "The training data have changed" in caplog.text
