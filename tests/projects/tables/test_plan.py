"""What is trained, in which order and with which options."""

from pathlib import Path

import pytest

from acnet.config import load_config
from acnet.errors import UserError
from acnet.tables import plan
from acnet.tables.plan import Choices, load_rows, plan_runs
from acnet.tables.rows import choose_rows
from acnet.tables.settings import shared_settings


@pytest.fixture(autouse=True)
def _data(monkeypatch):
    """Replace the data sets, which need not be there, by their digests."""
    monkeypatch.setattr(plan, "truth_digest", _digest)
    monkeypatch.setattr(plan, "_train_data", _of_800_images)


def _digest(names) -> str:
    return f"digest of {names}"


def _of_800_images(cfgs) -> dict:
    return {plan._train_names(cfg): ("abc", 800) for cfg in cfgs}


def choices(**changes) -> Choices:
    values = {
        "tests": ("toy_tests_mixed", "sets/a b:valid"),
        "seeds": (3, 1),
        "iterations": None,
        "overrides": (),
        "output": Path("out"),
        "results": Path("records"),
    }
    return Choices(**{**values, **changes})


def planned(names: list[str], **changes) -> list[plan.Run]:
    chosen = choices(**changes)
    return plan_runs(load_rows(choose_rows("toy", names=names, forms=["letter"]), chosen), chosen)


def test_the_first_seed_of_every_row_comes_first():
    runs = planned(["cb", "cb_frm"])
    assert [(run.row.key, run.seed) for run in runs] == [
        ("baseline", 3), ("cb", 3), ("cb_frm", 3), ("baseline", 1), ("cb", 1), ("cb_frm", 1)
    ]  # fmt: skip


def test_a_run_is_train_net_with_its_seed_folder_and_first_test_set():
    run = planned(["cb"], overrides=("optimizer.lr=0.01",), iterations=50)[1]
    assert run.folder == Path("out/runs/toy/table2/cb/seed_3")
    assert run.record == Path("records/toy/table2/cb/seed_3.json")
    cfg = load_config("toy/table2/cb", run.opts)
    assert (cfg.train.seed, cfg.train.max_iter, cfg.optimizer.lr) == (3, 50, 0.01)
    assert cfg.train.output_dir == str(run.folder)
    assert cfg.dataloader.test.dataset.names == "toy_tests_mixed"
    assert (run.iterations, run.settings["iterations"]) == (50, 50)
    assert run.tests["sets/a b:valid"] == "digest of sets/a b:valid"


def test_a_set_named_by_a_path_with_spaces_is_an_override_too():
    run = planned(["cb"], tests=("sets/a b:valid",))[0]
    cfg = load_config("toy/table2/cb", run.opts)
    assert cfg.dataloader.test.dataset.names == "sets/a b:valid"


def test_rows_that_mean_the_same_model_are_trained_once():
    runs = planned(["table2/acnet", "l2_l4", "l2_l4_sum", "cb_frm_mama", "l1_l4"], seeds=(1,))
    keys = [(run.row.table, run.row.key) for run in runs]
    assert keys == [(2, "baseline"), (2, "cb_frm_mama"), (2, "acnet"), (3, "l1_l4")]


def test_epochs_become_iterations():
    runs = planned(["cb"], overrides=("train.max_iter=null", "train.epochs=3"))
    assert {run.iterations for run in runs} == {600}  # 3 * 800 / 4


def test_settings_tell_what_counts_and_leave_out_what_does_not():
    neutral = (
        "train.log_period=5",
        "dataloader.train.num_workers=1",
        "train.checkpointer.period=9",
    )
    counts = ("optimizer.lr=0.5", "+model.x=1")
    cfg = load_config("toy/table2/cb", (*neutral, "optimizer.lr=0.5"))
    settings = shared_settings(cfg, iterations=7, train_data="abc", overrides=[*neutral, *counts])
    assert settings["overrides"] == sorted(counts)
    assert settings["optimizer"]["lr"] == 0.5
    assert (settings["iterations"], settings["images a batch"]) == (7, 4)
    assert settings["start"] == "random weights"
    assert settings["precision"] in ("bfloat16", "float32")  # by the machine


def test_an_override_that_fits_no_config_is_refused():
    with pytest.raises(UserError, match=r"train\.max_iter"):
        planned(["cb"], overrides=("train.max_itre=3",))
