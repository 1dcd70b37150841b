"""Which checkpoints stay, and which one is the best."""

import logging
import math
from pathlib import Path

import pytest
import torch
from detectron2.engine import SimpleTrainer

from acnet.checkpoint import ACNetCheckpointer
from acnet.engine.hooks import BestCheckpoint, PeriodicCheckpointer
from tests.engine.tiny_task import TinyDetector


@pytest.fixture
def trainer() -> SimpleTrainer:
    model = TinyDetector()
    return SimpleTrainer(model, [], torch.optim.SGD(model.parameters(), lr=0.1))


def best(trainer: SimpleTrainer, folder: Path, *, resume: bool = False) -> BestCheckpoint:
    return BestCheckpoint(trainer, output_dir=str(folder), metric="bbox/AP50", resume=resume)


def saved(folder: Path) -> tuple[float, int]:
    content = torch.load(folder / "model_best.pth", weights_only=True)
    return content["best"]["value"], content["iteration"]


def test_best_follows_the_metric_up_only(trainer: SimpleTrainer, tmp_path: Path):
    keeper = best(trainer, tmp_path)
    after_each = []
    for iteration, value in enumerate([20.0, 10.0, math.nan, 20.0, 30.0, -math.inf]):
        keeper.update({"bbox/AP50": value}, iteration=iteration)
        after_each.append(saved(tmp_path))
    assert after_each == [(20.0, 0)] * 4 + [(30.0, 4)] * 2


def test_zero_is_better_than_nothing_and_nan_is_not(trainer: SimpleTrainer, tmp_path: Path):
    keeper = best(trainer, tmp_path)
    keeper.update({"bbox/AP50": math.nan}, iteration=0)
    assert list(tmp_path.iterdir()) == []
    keeper.update({"bbox/AP50": 0.0}, iteration=1)
    assert saved(tmp_path) == (0.0, 1)


def test_a_resumed_run_knows_the_best_so_far(trainer: SimpleTrainer, tmp_path: Path):
    best(trainer, tmp_path).update({"bbox/AP50": 20.0}, iteration=3)
    again = best(trainer, tmp_path, resume=True)
    again.update({"bbox/AP50": 19.0}, iteration=7)
    assert saved(tmp_path) == (20.0, 3)
    best(trainer, tmp_path, resume=False).update({"bbox/AP50": 19.0}, iteration=7)
    assert saved(tmp_path) == (19.0, 7)


def test_the_best_of_another_metric_does_not_count(trainer: SimpleTrainer, tmp_path: Path):
    other = BestCheckpoint(trainer, output_dir=str(tmp_path), metric="bbox/AP", resume=False)
    other.update({"bbox/AP": 50.0}, iteration=0)
    best(trainer, tmp_path, resume=True).update({"bbox/AP50": 19.0}, iteration=1)
    assert saved(tmp_path) == (19.0, 1)


def test_the_best_is_not_what_a_resume_starts_from(trainer: SimpleTrainer, tmp_path: Path):
    best(trainer, tmp_path).update({"bbox/AP50": 20.0}, iteration=0)
    assert not (tmp_path / "last_checkpoint").exists()
    ACNetCheckpointer(trainer.model, tmp_path).save("model_0000003")
    best(trainer, tmp_path).update({"bbox/AP50": 20.0}, iteration=4)
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000003.pth"


def test_a_metric_that_is_not_there_is_named(
    trainer: SimpleTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        best(trainer, tmp_path).update({"bbox/AP": 20.0, "bbox/AP75": 5.0}, iteration=0)
    assert "bbox/AP50 is not among the results. Set it to one of: bbox/AP, bbox/AP75" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_max_to_keep_counts_the_checkpoints_of_before(trainer: SimpleTrainer, tmp_path: Path):
    for name in ("model_0000003", "model_0000007", "model_0000099", "model_best", "mine"):
        (tmp_path / f"{name}.pth").touch()
    checkpointer = ACNetCheckpointer(trainer.model, tmp_path)
    hook = PeriodicCheckpointer(checkpointer, period=4, max_to_keep=2)
    trainer.start_iter, trainer.max_iter = 8, 100
    trainer.register_hooks([hook])
    hook.before_train()
    hook.step(11)
    # 3 goes, for 7 and 11 are kept; 99 is not of this run's past; other names are not its own.
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == [
        "mine.pth",
        "model_0000007.pth",
        "model_0000011.pth",
        "model_0000099.pth",
        "model_best.pth",
    ]
