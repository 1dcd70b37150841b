"""Whole trainings of the tiny task: what they leave, and that interruptions leave no trace."""

import json
import logging
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from acnet.checkpoint import ACNetCheckpointer, load_trained_weights
from acnet.errors import UserError
from tests.engine.tiny_task import TinyDetector

# In epochs of ten images and batches of four; steps count from 1, iterations from 0.
STOP_AT_STEP_8 = "model.error_at_step=8"  # after the checkpoint of iteration 5


def weights(folder: Path, name: str = "model_final") -> dict[str, torch.Tensor]:
    return torch.load(folder / f"{name}.pth", weights_only=True)["model"]


def assert_same_run(folder: Path, other: Path, metrics) -> None:
    assert metrics(folder) == metrics(other)
    torch.testing.assert_close(weights(folder), weights(other), rtol=0, atol=0)
    best, other_best = weights(folder, "model_best"), weights(other, "model_best")
    torch.testing.assert_close(best, other_best, rtol=0, atol=0)


def test_what_a_run_leaves(tiny_cfg, train, metrics):
    folder = train(tiny_cfg())
    # Checkpoints each 3 of 12 iterations, of which 2 are kept; the final one; the best one.
    assert sorted(path.name for path in folder.glob("*.pth")) == [
        "model_0000008.pth",
        "model_0000011.pth",
        "model_best.pth",
        "model_final.pth",
    ]
    assert (folder / "last_checkpoint").read_text() == "model_final.pth"
    rows = metrics(folder)
    assert [row["iteration"] for row in rows] == list(range(12))
    evaluated = [row["iteration"] for row in rows if "bbox/AP50" in row]
    assert evaluated == [3, 7, 11]
    events = EventAccumulator(str(folder)).Reload()
    assert [event.step for event in events.Scalars("total_loss")] == list(range(12))


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tiny_cfg, train, metrics):
    first = train(tiny_cfg(name="a"))
    assert_same_run(train(tiny_cfg(name="b")), first, metrics)
    other = train(tiny_cfg("train.seed=43", name="c"))
    assert metrics(other) != metrics(first)


def test_a_run_without_a_seed_differs_each_time(tiny_cfg, train, metrics):
    first, second = (train(tiny_cfg("train.seed=-1", name=name)) for name in "ab")
    assert metrics(first) != metrics(second)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("log_period", [1, 5])
def test_a_resumed_run_is_an_unbroken_run(
    tiny_cfg, train, metrics, num_workers: int, log_period: int
):
    settings = (f"dataloader.train.num_workers={num_workers}", f"train.log_period={log_period}")
    unbroken = train(tiny_cfg(*settings, name="unbroken"))
    with pytest.raises(RuntimeError, match="stands for a kill"):
        train(tiny_cfg(*settings, STOP_AT_STEP_8))
    with (unbroken.with_name("run") / "metrics.json").open("a") as file:
        file.write('{"iteration": 7, "tot')  # as a kill in the midst of a write leaves it
    resumed = train(tiny_cfg(*settings), resume=True)
    assert_same_run(resumed, unbroken, metrics)
    assert sorted(p.name for p in resumed.glob("*.pth")) == sorted(
        p.name for p in unbroken.glob("*.pth")
    )


def test_bfloat16_resumes_exactly_too(tiny_cfg, train, metrics):
    settings = ("train.amp.enabled=true", "train.amp.dtype=bfloat16", "train.channels_last=true")
    unbroken = train(tiny_cfg(*settings, name="unbroken"))
    with pytest.raises(RuntimeError):
        train(tiny_cfg(*settings, STOP_AT_STEP_8))
    assert_same_run(train(tiny_cfg(*settings), resume=True), unbroken, metrics)
    assert metrics(unbroken) != metrics(train(tiny_cfg(name="fp32")))


def test_resuming_before_the_first_checkpoint_starts_anew(tiny_cfg, train, metrics):
    unbroken = train(tiny_cfg(name="unbroken"))
    with pytest.raises(RuntimeError):
        train(tiny_cfg("model.error_at_step=2"))
    assert_same_run(train(tiny_cfg(), resume=True), unbroken, metrics)


@pytest.mark.parametrize("test_image", [14, 25])  # in the second and in the last evaluation
def test_sigterm_during_an_evaluation_loses_neither_training_nor_evaluation(
    tiny_cfg, train, metrics, test_image: int
):
    unbroken = train(tiny_cfg(name="unbroken"))
    with pytest.raises(SystemExit) as ended:
        train(tiny_cfg(f"model.sigterm_at_test={test_image}"))
    assert ended.value.code == 143
    assert_same_run(train(tiny_cfg(), resume=True), unbroken, metrics)


def test_an_evaluation_that_was_cut_off_is_made_up_for(tiny_cfg, train, metrics, monkeypatch):
    unbroken = train(tiny_cfg("train.checkpointer.period=4", name="unbroken"))
    cfg = tiny_cfg("train.checkpointer.period=4")
    monkeypatch.setattr("tests.engine.tiny_task.TinyEvaluator.evaluate", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(cfg)
    monkeypatch.undo()
    assert (Path(cfg.train.output_dir) / "last_checkpoint").read_text() == "model_0000003.pth"
    resumed = train(tiny_cfg("train.checkpointer.period=4"), resume=True)
    assert_same_run(resumed, unbroken, metrics)


def test_a_kill_between_the_last_two_checkpoints_is_made_up_for(
    tiny_cfg, train, metrics, monkeypatch
):
    unbroken = train(tiny_cfg(name="unbroken"))
    save = ACNetCheckpointer.save

    def save_all_but_the_final_one(self, name: str, **extra) -> None:
        if name == "model_final":
            raise ZeroDivisionError
        save(self, name, **extra)

    cfg = tiny_cfg()
    monkeypatch.setattr(ACNetCheckpointer, "save", save_all_but_the_final_one)
    with pytest.raises(ZeroDivisionError):
        train(cfg)
    monkeypatch.undo()
    assert (Path(cfg.train.output_dir) / "last_checkpoint").read_text() == "model_0000011.pth"
    resumed = train(tiny_cfg(), resume=True)
    assert_same_run(resumed, unbroken, metrics)
    assert (resumed / "last_checkpoint").read_text() == "model_final.pth"


def test_sigterm_during_a_step_finishes_it_and_saves(tiny_cfg, train, metrics):
    unbroken = train(tiny_cfg(name="unbroken"))
    with pytest.raises(SystemExit) as ended:
        train(tiny_cfg("model.sigterm_at_step=5"))
    assert ended.value.code == 143
    folder = unbroken.with_name("run")
    assert (folder / "last_checkpoint").read_text() == "model_0000004.pth"
    assert_same_run(train(tiny_cfg(), resume=True), unbroken, metrics)


def test_a_finished_run_that_is_resumed_does_nothing_and_says_so(
    tiny_cfg, train, metrics, caplog: pytest.LogCaptureFixture
):
    folder = train(tiny_cfg())
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.pth")}
    rows = metrics(folder)
    with caplog.at_level(logging.INFO):
        train(tiny_cfg(), resume=True)
    assert "Nothing to do: this run has finished its 12 iterations" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.pth")} == before
    assert metrics(folder) == rows


def test_a_finished_run_can_be_prolonged(tiny_cfg, train, metrics):
    train(tiny_cfg())
    folder = train(tiny_cfg("train.max_iter=14"), resume=True)
    assert [row["iteration"] for row in metrics(folder)] == list(range(14))


def test_the_best_checkpoint_is_never_overwritten_by_a_worse_one(tiny_cfg, train, metrics):
    folder = train(tiny_cfg("train.eval_period=1"))
    rows = metrics(folder)
    best_row = max(rows, key=lambda row: row["bbox/AP50"])
    best = torch.load(folder / "model_best.pth", weights_only=True)
    assert best["best"] == {"metric": "bbox/AP50", "value": best_row["bbox/AP50"]}
    assert best["iteration"] == best_row["iteration"]
    best["best"]["value"] = 1000.0  # better than any that the resumed run can reach
    torch.save(best, folder / "model_best.pth")
    train(tiny_cfg("train.eval_period=1", "train.max_iter=14"), resume=True)
    kept = torch.load(folder / "model_best.pth", weights_only=True)
    assert kept["best"]["value"] == 1000.0


@pytest.mark.parametrize("metric", ["bbox/APs", "bbox/AP5"])
def test_nan_and_an_unknown_metric_make_no_best_checkpoint(
    tiny_cfg, train, metric: str, caplog: pytest.LogCaptureFixture
):
    folder = train(tiny_cfg(f"train.best_metric={metric}"))
    assert not (folder / "model_best.pth").exists()
    assert ("Set it to one of: bbox/AP50, bbox/APs" in caplog.text) == (metric == "bbox/AP5")
    assert "NaN" not in (folder / "metrics.json").read_text()


def test_epochs_become_iterations_with_the_arithmetic_in_the_log(
    tiny_cfg, train, metrics, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO):
        folder = train(tiny_cfg("train.max_iter=null", "train.epochs=3"))
    assert "3 epochs of 10 images in batches of 4: 3 * 10 / 4 = 8 iterations" in caplog.text
    assert len(metrics(folder)) == 8


def test_a_batch_in_parts_keeps_iterations_and_data(tiny_cfg, train, metrics):
    whole = metrics(train(tiny_cfg("train.max_iter=2", name="whole")))
    parts = metrics(train(tiny_cfg("train.max_iter=2", "train.accumulate=2", name="parts")))
    assert [row["iteration"] for row in parts] == [row["iteration"] for row in whole]
    # The weight's penalty knows no images, so the first step's is the same to the last digit.
    assert parts[0]["loss_size"] == whole[0]["loss_size"]
    # A config saved before there were parts has no such key.
    cfg = tiny_cfg("train.max_iter=2", name="old")
    del cfg.train.accumulate
    assert metrics(train(cfg)) == whole


@pytest.mark.parametrize("parts", [0, 3])
def test_a_batch_that_has_no_such_parts(tiny_cfg, train, parts):
    with pytest.raises(UserError, match=rf"Received {parts} parts of a share of 4 images\. Set"):
        train(tiny_cfg(f"train.accumulate={parts}"))


def test_no_evaluation_but_the_last(tiny_cfg, train, metrics):
    folder = train(tiny_cfg("train.eval_period=0"))
    assert [row["iteration"] for row in metrics(folder) if "bbox/AP50" in row] == [11]


def test_initial_weights_are_not_a_run_to_go_on_with(tiny_cfg, train, metrics):
    first = train(tiny_cfg(name="first"))
    start = f"train.init_checkpoint={first / 'model_final.pth'}"
    folder = train(tiny_cfg(start, "optimizer.lr=0"), resume=True)
    assert [row["iteration"] for row in metrics(folder)] == list(range(12))
    # Without a learning rate only BN's statistics move.
    torch.testing.assert_close(
        weights(folder)["conv.weight"], weights(first)["conv.weight"], rtol=0, atol=0
    )


def test_metrics_are_json_line_by_line(tiny_cfg, train):
    folder = train(tiny_cfg("train.max_iter=2"))
    for line in (folder / "metrics.json").read_text().splitlines():
        assert json.loads(line)["loss_score"] > 0


AVERAGED = ("train.ema.enabled=true", "train.ema.decay=0.5")


def test_the_moving_average_is_evaluated_and_kept(tiny_cfg, train, metrics):
    folder = train(
        tiny_cfg(*AVERAGED, "train.checkpointer.max_to_keep=99", "train.checkpointer.period=1")
    )
    states = [torch.load(folder / f"model_{i:07d}.pth", weights_only=True) for i in range(12)]
    # Step n leaves min(decay, n / (n + 9)) of the average.
    average = states[0]["ema"]["head.weight"]
    for step, state in enumerate(states[1:], start=2):
        decay = min(0.5, step / (step + 9))
        average = decay * average + (1 - decay) * state["model"]["head.weight"]
        torch.testing.assert_close(state["ema"]["head.weight"], average)
    assert states[-1]["ema"]["bn.num_batches_tracked"] == 12
    # What is not a resume gets the average, and the best checkpoint holds it alone.
    model = TinyDetector()
    load_trained_weights(model, folder / "model_final.pth")
    torch.testing.assert_close(model.state_dict(), dict(states[-1]["ema"]), rtol=0, atol=0)
    best = torch.load(folder / "model_best.pth", weights_only=True)
    iteration = best["iteration"]
    torch.testing.assert_close(best["model"], states[iteration]["ema"], rtol=0, atol=0)
    assert metrics(folder)[3]["bbox/AP50"] != metrics(train(tiny_cfg(name="plain")))[3]["bbox/AP50"]


def test_the_moving_average_resumes_exactly(tiny_cfg, train, metrics):
    unbroken = train(tiny_cfg(*AVERAGED, name="unbroken"))
    with pytest.raises(RuntimeError, match="stands for a kill"):
        train(tiny_cfg(*AVERAGED, STOP_AT_STEP_8, name="resumed"))
    resumed = train(tiny_cfg(*AVERAGED, name="resumed"), resume=True)
    assert_same_run(resumed, unbroken, metrics)
    files = [torch.load(f / "model_final.pth", weights_only=True) for f in (resumed, unbroken)]
    torch.testing.assert_close(files[0]["ema"], files[1]["ema"], rtol=0, atol=0)


def test_a_resumed_run_keeps_its_learning_rate(tiny_cfg, train, metrics):
    unbroken = train(tiny_cfg(name="unbroken"))
    with pytest.raises(RuntimeError, match="stands for a kill"):
        train(tiny_cfg(STOP_AT_STEP_8, name="resumed"))
    resumed = train(tiny_cfg("optimizer.lr=7", name="resumed"), resume=True)
    assert metrics(resumed) == metrics(unbroken)
