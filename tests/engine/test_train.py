"""Whole trainings of the tiny task: what they leave, and that interruptions leave no trace."""

import logging
import signal
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from acnet.checkpoint import ACNetCheckpointer, load_trained_weights
from acnet.config import load_config
from acnet.engine.train import build_optimizer
from acnet.errors import UserError
from tests.engine.tiny_task import TinyDetector

SGD = load_config("toy/table2/cb").optimizer
AVERAGED = ("train.ema.enabled=true", "train.ema.decay=0.5")


def content(folder: Path, name: str = "model_final") -> dict:
    return torch.load(folder / f"{name}.pth", weights_only=True)


def assert_same_run(folder: Path, other: Path, metrics) -> None:
    assert metrics(folder) == metrics(other)
    for name in ("model_final", "model_best"):
        found, expected = content(folder, name), content(other, name)
        torch.testing.assert_close(found["model"], expected["model"], rtol=0, atol=0)
        torch.testing.assert_close(found.get("ema"), expected.get("ema"), rtol=0, atol=0)


def test_what_a_run_leaves(tiny_cfg, train, metrics, caplog):
    with caplog.at_level(logging.INFO):
        folder = train(tiny_cfg("train.max_iter=null", "train.epochs=4.6"))
    assert "4.6 epochs of 10 images in batches of 4: 4.6 * 10 / 4 = 12 iterations" in caplog.text
    # Checkpoints each 3 of 12 iterations, of which 2 are kept; the final one; the best one.
    names = {path.name for path in folder.glob("*.pth")}
    numbered = {f"model_{i:07d}.pth" for i in (8, 11)}
    assert names == numbered | {"model_best.pth", "model_final.pth"}
    assert (folder / "last_checkpoint").read_text() == "model_final.pth"
    rows = metrics(folder)
    assert [row["iteration"] for row in rows] == list(range(12))
    assert [row["iteration"] for row in rows if "bbox/AP50" in row] == [3, 7, 11]
    events = EventAccumulator(str(folder)).Reload()
    assert [event.step for event in events.Scalars("total_loss")] == list(range(12))


def test_the_same_seed_gives_the_same_run_and_another_or_none_another(tiny_cfg, train, metrics):
    first = train(tiny_cfg(name="first"))
    assert_same_run(train(tiny_cfg(name="again")), first, metrics)
    names = {"other": 43, "none": -1, "none again": -1}
    runs = [train(tiny_cfg(f"train.seed={seed}", name=name)) for name, seed in names.items()]
    assert len({str(metrics(run)) for run in (first, *runs)}) == 4


# Steps and images count from 1, iterations from 0; there are three evaluations of ten images.
KILLED = "model.error_at_step=8"  # after the checkpoint of iteration 5


@pytest.mark.parametrize(
    ("settings", "interruption", "last"),
    [
        ((), KILLED, "model_0000005"),
        (("train.log_period=5", "dataloader.train.num_workers=2"), KILLED, "model_0000005"),
        (("train.log_period=5",), KILLED, "model_0000005"),
        (("dataloader.train.num_workers=2",), KILLED, "model_0000005"),
        (("train.amp.enabled=true", "train.amp.dtype=bfloat16", "train.channels_last=true"),
         KILLED, "model_0000005"),
        (AVERAGED, KILLED, "model_0000005"),
        ((), "model.error_at_step=2", None),
        ((), "model.sigterm_at_step=5", "model_0000004"),  # which is finished
        ((), "model.sigterm_at_test=14", "model_0000007"),  # in the second evaluation
        ((), "model.sigterm_at_test=25", "model_0000011"),  # in the last one
    ],
)  # fmt: skip
def test_a_resumed_run_is_an_unbroken_run(tiny_cfg, train, metrics, settings, interruption, last):
    unbroken = train(tiny_cfg(*settings, name="unbroken"))
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises((RuntimeError, SystemExit), match=r"stands for a kill|143"):
        train(tiny_cfg(*settings, interruption))
    assert signal.getsignal(signal.SIGTERM) == handler
    folder = unbroken.with_name("run")
    if last is None:
        assert not (folder / "last_checkpoint").exists()
    else:
        assert (folder / "last_checkpoint").read_text() == f"{last}.pth"
    with (folder / "metrics.json").open("a") as file:
        file.write('{"iteration": 7, "tot')  # as a kill in the midst of a write leaves it
    # The learning rate is that of the run's beginning, whatever is asked for later.
    resumed = train(tiny_cfg(*settings, *(["optimizer.lr=7"] if last else [])), resume=True)
    assert_same_run(resumed, unbroken, metrics)
    names = [{path.name for path in one.glob("*.pth")} for one in (resumed, unbroken)]
    assert names[0] - names[1] <= {f"{last}.pth"}
    assert names[0] == names[1] or "sigterm" in interruption


def test_a_kill_between_the_last_two_checkpoints_is_made_up_for(
    tiny_cfg, train, metrics, monkeypatch
):
    unbroken, save = train(tiny_cfg(name="unbroken")), ACNetCheckpointer.save

    def fail(self, name: str, **extra) -> None:
        if name == "model_final":
            raise ZeroDivisionError
        save(self, name, **extra)

    monkeypatch.setattr(ACNetCheckpointer, "save", fail)
    with pytest.raises(ZeroDivisionError):
        train(tiny_cfg())
    monkeypatch.undo()
    tag = unbroken.with_name("run") / "last_checkpoint"
    assert tag.read_text() == "model_0000011.pth"  # of the same iteration as the final one
    resumed = train(tiny_cfg(), resume=True)
    assert_same_run(resumed, unbroken, metrics)
    assert (resumed / "last_checkpoint").read_text() == "model_final.pth"


def test_a_resume_that_is_refused_leaves_the_config_alone(tiny_cfg, train, monkeypatch):
    config = train(tiny_cfg("train.max_iter=2")) / "config.yaml"

    def refuse(*_, **__):
        raise UserError("other weights")

    with monkeypatch.context() as patched:
        patched.setattr(ACNetCheckpointer, "resume_or_load", refuse)
        with pytest.raises(UserError):
            train(tiny_cfg("train.max_iter=4"), resume=True)
    assert not config.exists()  # this test's trainings write none of their own
    train(tiny_cfg("train.max_iter=4"), resume=True)
    assert "max_iter: 4" in config.read_text()


def test_a_finished_run_says_so_and_can_be_prolonged(tiny_cfg, train, metrics, caplog):
    folder = train(tiny_cfg())
    best = content(folder, "model_best")
    best["best"]["value"] = 1000.0  # better than any that the resumed run can reach
    torch.save(best, folder / "model_best.pth")
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.pth")}
    rows = metrics(folder)
    with caplog.at_level(logging.INFO):
        train(tiny_cfg(), resume=True)
    assert "Nothing to do: this run has finished its 12 iterations" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.pth")} == before
    assert metrics(folder) == rows
    train(tiny_cfg("train.eval_period=1", "train.max_iter=14"), resume=True)
    assert [row["iteration"] for row in metrics(folder)] == list(range(14))
    assert content(folder, "model_best")["best"]["value"] == 1000.0


def test_a_batch_in_parts_keeps_iterations_and_data_and_bfloat16_is_another_run(
    tiny_cfg, train, metrics
):
    whole = metrics(train(tiny_cfg("train.max_iter=2", name="whole")))
    amp = ("train.max_iter=2", "train.amp.enabled=true")
    assert metrics(train(tiny_cfg(*amp, name="bfloat16"))) != whole
    parts = metrics(train(tiny_cfg("train.max_iter=2", "train.accumulate=2", name="parts")))
    assert [row["iteration"] for row in parts] == [row["iteration"] for row in whole]
    # The weight's penalty knows no images, so the first step's is the same to the last digit.
    assert parts[0]["loss_size"] == whole[0]["loss_size"]
    # A config saved before there were parts has no such key.
    cfg = tiny_cfg("train.max_iter=2", name="old")
    del cfg.train.accumulate
    assert metrics(train(cfg)) == whole
    for number in (0, 3):
        with pytest.raises(UserError, match=rf"{number} parts of a share of 4 images\. Set"):
            train(tiny_cfg(f"train.accumulate={number}"))


@pytest.mark.parametrize(
    "opts",
    [
        (),
        ("train.amp.enabled=true", "train.accumulate=2"),
        ("train.amp.enabled=true", "train.activation_checkpointing=true"),
    ],
)
def test_cuda_graphs_need_one_pass_a_step_and_amp(tiny_cfg, train, opts):
    cfg = tiny_cfg(*opts)
    cfg.train.cuda_graphs = True
    with pytest.raises(UserError, match=r"train\.cuda_graphs=false"):
        train(cfg)


def test_initial_weights_are_not_a_run_to_go_on_with(tiny_cfg, train, metrics):
    first = train(tiny_cfg(name="first"))
    start = f"train.init_checkpoint={first / 'model_final.pth'}"
    folder = train(tiny_cfg(start, "optimizer.lr=0"), resume=True)
    assert [row["iteration"] for row in metrics(folder)] == list(range(12))
    # Without a learning rate only BN's statistics move.
    weights = [content(one)["model"]["conv.weight"] for one in (folder, first)]
    torch.testing.assert_close(*weights, rtol=0, atol=0)


def test_the_moving_average_is_evaluated_and_kept(tiny_cfg, train, metrics):
    every_step = ("train.checkpointer.max_to_keep=99", "train.checkpointer.period=1")
    folder = train(tiny_cfg(*AVERAGED, *every_step))
    states = [content(folder, f"model_{i:07d}") for i in range(12)]
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
    best = content(folder, "model_best")
    torch.testing.assert_close(best["model"], states[best["iteration"]]["ema"], rtol=0, atol=0)
    assert metrics(folder)[3]["bbox/AP50"] != metrics(train(tiny_cfg(name="plain")))[3]["bbox/AP50"]


def test_parts_may_learn_at_a_rate_of_their_own():
    model = torch.nn.ModuleDict({"backbone": torch.nn.Linear(2, 2), "rpn": torch.nn.Linear(2, 1)})
    optimizer = build_optimizer(SGD, model, torch.device("cpu"), {"rpn": 30, "rpn.bias": 2})
    rates = {id(one): group["lr"] for group in optimizer.param_groups for one in group["params"]}
    found = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    lr = SGD.lr
    assert found == pytest.approx(
        {"backbone.weight": lr, "backbone.bias": lr, "rpn.weight": 30 * lr, "rpn.bias": 60 * lr}
    )
    with pytest.raises(UserError, match=r"'rnp'.*backbone, rpn"):
        build_optimizer(SGD, model, torch.device("cpu"), {"rnp": 30})
