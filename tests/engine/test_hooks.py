"""Hooks: what a step draws, which checkpoints stay, when it reports; SIGTERM: test_train.py."""

import logging
import math
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from detectron2.engine import SimpleTrainer
from detectron2.utils import comm
from detectron2.utils.events import EventStorage

from acnet.checkpoint import ACNetCheckpointer
from acnet.engine.hooks import BestCheckpoint, PeriodicCheckpointer, Report, SeedEveryStep
from tests.engine.tiny_task import TinyDetector


@pytest.fixture
def trainer() -> SimpleTrainer:
    model = TinyDetector()
    return SimpleTrainer(model, [], torch.optim.SGD(model.parameters(), lr=0.1))


def best(trainer, folder, *, metric="bbox/AP50", resume=False) -> BestCheckpoint:
    return BestCheckpoint(trainer, output_dir=str(folder), metric=metric, resume=resume)


def saved(folder) -> tuple[float, int]:
    content = torch.load(folder / "model_best.pth", weights_only=True)
    return content["best"]["value"], content["iteration"]


def test_best_follows_the_metric_up_only(trainer, tmp_path):
    keeper = best(trainer, tmp_path)
    keeper.update({"bbox/AP50": math.nan}, iteration=0)
    assert list(tmp_path.iterdir()) == []
    after_each = []
    for iteration, value in enumerate([0.0, 20.0, 10.0, math.nan, 20.0, 30.0, -math.inf]):
        keeper.update({"bbox/AP50": value}, iteration=iteration)
        after_each.append(saved(tmp_path))
    assert after_each == [(0.0, 0)] + [(20.0, 1)] * 4 + [(30.0, 5)] * 2


@pytest.mark.parametrize(
    ("metric", "resume", "kept"),
    [
        ("bbox/AP50", True, (20.0, 3)),
        ("bbox/AP50", False, (19.0, 7)),  # what is there is of another run
        ("bbox/AP", True, (19.0, 7)),
    ],
)
def test_a_resumed_run_knows_the_best_so_far(trainer, tmp_path, metric, resume, kept):
    best(trainer, tmp_path, metric=metric).update({metric: 20.0}, iteration=3)
    best(trainer, tmp_path, resume=resume).update({"bbox/AP50": 19.0}, iteration=7)
    assert saved(tmp_path) == kept


def test_the_best_is_not_what_a_resume_starts_from(trainer, tmp_path):
    best(trainer, tmp_path).update({"bbox/AP50": 20.0}, iteration=0)
    assert not (tmp_path / "last_checkpoint").exists()
    ACNetCheckpointer(trainer.model, tmp_path).save("model_0000003")
    best(trainer, tmp_path).update({"bbox/AP50": 20.0}, iteration=4)
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000003.pth"


def test_a_metric_that_is_not_there_is_named(trainer, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        best(trainer, tmp_path).update({"bbox/AP": 20.0, "bbox/AP75": 5.0}, iteration=0)
    assert "bbox/AP50 is not among the results. Set it to one of: bbox/AP, bbox/AP75" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_max_to_keep_counts_the_checkpoints_of_before(trainer, tmp_path):
    for name in ("model_0000003", "model_0000007", "model_0000099", "model_best", "mine"):
        (tmp_path / f"{name}.pth").touch()
    checkpointer = ACNetCheckpointer(trainer.model, tmp_path)
    hook = PeriodicCheckpointer(checkpointer, period=4, max_to_keep=2)
    trainer.start_iter, trainer.max_iter = 8, 100
    trainer.register_hooks([hook])
    hook.before_train()
    hook.step(11)
    # 3 goes, for 7 and 11 are kept; 99 is not of this run's past; other names are not its own.
    names = {path.name for path in tmp_path.glob("*.pth")}
    assert names == {"mine.pth", "model_best.pth", *(f"model_{i:07d}.pth" for i in (7, 11, 99))}


def run(max_iter: int, *, start_iter: int = 0, last_reported: int = -1, **periods: int) -> list:
    """Return when a report was written, and which results were new then."""
    rows = []

    def write() -> None:
        new = {name for name, (_, i) in storage.latest().items() if i == storage.iter}
        rows.append((storage.iter, new))

    writer = Mock(write=write)
    report = Report(
        evaluate=lambda: {"bbox": {"AP50": 50.0, "APs": math.nan}},
        writers=[writer],
        best=None,
        last_reported=last_reported,
        **periods,
    )
    with EventStorage(start_iter) as storage:
        report.trainer = SimpleNamespace(
            storage=storage, start_iter=start_iter, max_iter=max_iter, iter=start_iter
        )
        report.before_train()
        assert report.trainer.iter == storage.iter == start_iter
        for storage.iter in range(start_iter, max_iter):
            report.trainer.iter = storage.iter
            report.after_step()
        report.after_train()
    writer.close.assert_called_once_with()
    return rows


RESULT = {"bbox/AP50"}


def test_each_period_and_the_end():
    # Rows after each third iteration, evaluations after each fourth, both after the last of ten.
    rows = run(10, log_period=3, eval_period=4)
    assert rows == [(2, set()), (3, RESULT), (5, set()), (7, RESULT), (8, set()), (9, RESULT)]
    for eval_period in (0, 100):
        assert run(4, log_period=100, eval_period=eval_period) == [(3, RESULT)]


@pytest.mark.parametrize(
    ("start_iter", "last_reported", "made_up"),
    [
        (4, 2, [(3, RESULT)]),  # killed in the evaluation after iteration 3
        (4, 3, []),  # killed after it
        (3, -1, [(2, set())]),  # killed before the row of iteration 2
        (2, -1, []),  # nothing was due after iteration 1
        (0, -1, []),  # a new run
        (10, 8, [(9, RESULT)]),  # killed in the last evaluation
        (10, 9, []),  # a finished run
    ],
)
def test_a_missing_report_is_made_before_the_training_goes_on(start_iter, last_reported, made_up):
    periods = {"log_period": 3, "eval_period": 4}
    whole = run(10, **periods)
    rows = run(10, start_iter=start_iter, last_reported=last_reported, **periods)
    assert rows == made_up + [row for row in whole if row[0] >= start_iter]


def draw(hook, iteration: int) -> float:
    hook.trainer = SimpleNamespace(iter=iteration)
    hook.before_step()
    return torch.rand(()).item()


def test_a_step_draws_the_same_whatever_came_before(monkeypatch):
    hook = SeedEveryStep(42)
    in_order = [draw(hook, i) for i in range(5)]
    torch.rand(100)
    assert [draw(SeedEveryStep(42), i) for i in (4, 2)] == [in_order[4], in_order[2]]
    assert len(set(in_order)) == 5
    assert draw(SeedEveryStep(43), 0) != in_order[0]
    monkeypatch.setattr(comm, "get_rank", lambda: 1)
    assert draw(SeedEveryStep(42), 0) != in_order[0]  # each process draws its own
