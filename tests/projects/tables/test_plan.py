"""What is trained and on which sets it is measured; what does not fit together is refused."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog

from acnet.config import load_config
from acnet.data.prepared_set import PreparedLayout
from acnet.data.toy.toy_set import ToyTests, write_toy_tests
from acnet.errors import UserError
from acnet.evaluation.columns import sort_detections
from projects.ACNet.tables import plan
from projects.ACNet.tables.measure import cross_counts
from projects.ACNet.tables.plan import (
    check_records,
    check_runs,
    default_tests,
    of_equal_time,
    pace_run,
    plan_runs,
    read_run,
    register_sets,
    short_test,
    truth_digest,
)
from projects.ACNet.tables.record import read_records, shared_settings, write_record
from projects.ACNet.tables.rows import choose_rows, known_rows
from tests.projects.tables.samples import SETTINGS, add_record, make_run, model_of

BARE = {"row": "", "form": "paper", "seed": 2, "settings": {}, "model": {}, "tests": {}}


@pytest.fixture(autouse=True)
def _data(monkeypatch):
    """Replace the data sets, which need not be there, by their digests."""
    monkeypatch.setattr(plan, "truth_digest", "digest of {}".format)
    monkeypatch.setattr(plan, "_train_data", _of_800_images)


def _of_800_images(cfgs) -> dict:
    return {plan._train_names(cfg): ("abc", 800) for cfg in cfgs}


def planned(names: list[str], *, overrides=(), **changes) -> list[plan.Run]:
    rows = choose_rows("toy", names=names, forms=["paper"])
    values = {
        "tests": ["toy_tests_mixed", "sets/a b:valid"],
        "seeds": [3, 1],
        "output": Path("out"),
        "results": Path("records"),
    }
    cfgs = {row: load_config(row.config, overrides) for row in rows}
    return plan_runs(cfgs, overrides=overrides, **(values | changes))


def test_a_run_is_train_net_with_its_seed_folder_and_first_test_set():
    run = planned(["cb"], overrides=("optimizer.lr=0.01", "train.max_iter=50"))[1]
    assert run.folder == Path("out/runs/toy/table2/cb/seed_3")
    assert run.record == Path("records/toy/table2/cb/seed_3.json")
    cfg = load_config("toy/table2/cb", run.opts)
    assert (cfg.train.seed, cfg.train.max_iter, cfg.optimizer.lr) == (3, 50, 0.01)
    assert cfg.train.output_dir == str(run.folder)
    assert cfg.dataloader.test.dataset.names == "toy_tests_mixed"
    assert (run.iterations, run.settings["iterations"]) == (50, 50)
    assert run.settings["overrides"] == ["optimizer.lr=0.01"]  # iterations are compared as such
    assert run.tests["sets/a b:valid"] == "digest of sets/a b:valid"
    # A set named by a path with spaces is an override too.
    cfg = load_config("toy/table2/cb", planned(["cb"], tests=["sets/a b:valid"])[0].opts)
    assert cfg.dataloader.test.dataset.names == "sets/a b:valid"
    epochs = planned(["cb"], overrides=("train.max_iter=null", "train.epochs=3"))
    assert {run.iterations for run in epochs} == {600}  # 3 * 800 / 4
    with pytest.raises(UserError, match=r"train\.max_iter"):
        planned(["cb"], overrides=("train.max_itre=3",))


def test_the_first_seed_comes_first_and_rows_of_the_same_model_are_trained_once():
    runs = planned(["table2/acnet", "l2_l4", "l2_l4_sum", "cb_frm_mama", "l1_l4"])
    keys = [(2, "baseline"), (2, "cb_frm_mama"), (2, "acnet"), (3, "l1_l4")]
    expected = [(*key, seed) for seed in (3, 1) for key in keys]
    assert [(run.row.table, run.row.key, run.seed) for run in runs] == expected


def test_in_equal_time_a_row_gets_the_iterations_of_its_pace(tmp_path):
    slow, fast = planned(["cb"], output=tmp_path, results=tmp_path, seeds=[2])
    runs = []
    for run, times in ((slow, {"seconds_a_step": 0.5}), (fast, {"seconds_a_step": 0.02})):
        pace = pace_run(run, output=tmp_path, results=tmp_path)
        cfg = load_config(run.row.config, pace.opts)
        assert (cfg.train.max_iter, cfg.train.output_dir) == (60, str(pace.folder))
        assert not pace.is_measured()
        write_record(pace.record, {**BARE, "times": times}, {})
        assert pace.is_measured()
        runs.append(of_equal_time(run, pace, 90))
    assert [run.iterations for run in runs] == [180, 4500]
    assert load_config("toy/table2/cb", runs[1].opts).train.max_iter == 4500
    check_runs(runs, [])  # their settings agree
    runs[0].write()
    with pytest.raises(UserError, match="steps: 181 and 180"):  # timed again
        check_runs([dataclasses.replace(runs[0], iterations=181), runs[1]], [])
    longer = of_equal_time(slow, pace_run(slow, output=tmp_path, results=tmp_path), 100)
    with pytest.raises(UserError, match=r"seconds: 100 and 90.*--seconds 90"):
        check_runs([longer], [])


@pytest.mark.parametrize(
    ("photo", "scores", "expected"),
    [
        # The even photos hold two and one: 0.5 to 0.7 counts them, and the odd ones with one each.
        ([0, 0, 0, 1, 1, 2, 3, 3], [0.9, 0.8, 0.3, 0.7, 0.2, 0.8, 0.9, 0.1], [2, 1, 1, 1]),
        ([1, 1], [0.9, 0.8], [0, 0, 0, 0]),  # nothing in a half to fit on
        ([], [], [0, 0, 0, 0]),
    ],
)
def test_a_photo_has_no_say_in_its_own_count(photo, scores, expected):
    detections = sort_detections(
        photo=np.array(photo, dtype=np.int32),
        classes=np.zeros(len(photo)),
        boxes_xywh=np.ones((len(photo), 4)),
        scores=np.array(scores),
    )
    assert cross_counts(np.array([2, 1, 1, 1]), detections).tolist() == expected


def test_settings_tell_what_counts_and_leave_out_what_does_not():
    counts = ("optimizer.lr=0.5", "+model.x=1")
    neutral = (
        "train.log_period=5",
        "dataloader.train.num_workers=1",
        "train.checkpointer.period=9",
    )
    cfg = load_config("toy/table2/cb", (*neutral, "optimizer.lr=0.5"))
    settings = shared_settings(cfg, iterations=7, train_data="abc", overrides=[*neutral, *counts])
    assert settings["overrides"] == sorted(counts)
    assert settings["optimizer"]["lr"] == 0.5
    assert (settings["iterations"], settings["images a batch"]) == (7, 4)
    assert settings["start"] == "random weights"
    assert settings["precision"] in ("bfloat16", "float32")  # by the machine


@pytest.fixture
def runs(tmp_path):
    """Plan two rows with the settings of the sample records."""
    rows = {row.config: row for row in known_rows("toy")}
    made = [make_run(tmp_path, key, 1) for key in ("baseline", "cb_dce")]
    return [
        dataclasses.replace(
            run, row=rows[run.row.config], settings=SETTINGS, model=model_of(run.row.config)
        )
        for run in made
    ]


def records(folder) -> list:
    return list(read_records(folder / "results"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iterations": 800}, r"iterations: 400 and 800.*Give --iterations 800"),
        ({"overrides": ["a=1"]}, r"overrides: \[\] and \['a=1'\].*the same --opts"),
        ({"data": "other"}, r"data: '0123456789abcdef' and 'other'.*--datasets"),
        ({"optimizer": {"lr": 0.1}}, r"optimizer: lr: 0.02 and 0.1.*another --output"),
        ({"precision": "float32"}, r"precision: 'bfloat16' and 'float32'"),
        ({"images a batch": 8}, r"images a batch: 4 and 8"),
        ({"schedule": {"end_value": 1}}, r"schedule: end_value: 0 and 1"),
        ({"results version": 0}, r"results version: 1 and 0.*Measure all rows anew"),
    ],
)
def test_a_record_with_another_setting_is_refused(tmp_path, runs, changes, message):
    add_record(tmp_path / "results", "toy/table2/cb", 1, 30.0, **changes)
    with pytest.raises(UserError, match=message):
        check_runs(runs, records(tmp_path))


def test_the_tuned_form_may_have_a_schedule_of_its_own_but_one_for_all_its_rows(tmp_path, runs):
    results = tmp_path / "results"
    add_record(results, "toy/table2/baseline", 1, 30.0)
    own = {"schedule": {"end_value": 1}, "form": "tuned"}
    add_record(results, "toy/tuned/table2/acnet", 1, 30.0, **own)
    check_records(records(tmp_path))
    check_runs(runs, records(tmp_path))
    check_runs(runs, [])
    add_record(results, "toy/tuned/table2/cb_dce", 1, 30.0, form="tuned")
    with pytest.raises(UserError, match=r"schedule: end_value: 1 and 0"):
        check_records(records(tmp_path))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"model": {"backbone.width": 0.5}}, r"backbone\.width: 0\.5 and None"),  # of the config
        ({"tests": {"toy_tests_mixed": "ffff"}}, r"toy_tests_mixed: 'ffff' and 'toy_tests_mixed'"),
        ({"tests": {"another": "ffff"}}, None),  # a further set is no other set
    ],
)
def test_a_changed_row_or_test_set_is_refused(tmp_path, runs, changes, fault):
    add_record(tmp_path / "results", "toy/table2/baseline", 1, 30.0)
    model = {**runs[0].model, **changes.get("model", {})}
    changed = dataclasses.replace(runs[0], **changes | {"model": model})
    if fault is None:
        check_runs([changed], records(tmp_path))
        return
    with pytest.raises(UserError, match=fault):
        check_runs([changed], records(tmp_path))


def test_a_training_that_was_begun_otherwise_and_rows_that_disagree_are_refused(runs):
    run = runs[0]
    begun = dataclasses.replace(run, settings=SETTINGS | {"iterations": 800}, opts=("a=1",))
    begun.write()
    assert read_run(run.folder) == begun
    with pytest.raises(UserError, match=r"the training begun in .*iterations: 400 and 800"):
        check_runs(runs, [])
    other = dataclasses.replace(runs[1], settings=SETTINGS | {"images a batch": 8})
    with pytest.raises(UserError, match=r"table2/baseline and toy/table2/cb_dce.*4 and 8"):
        check_runs([run, other], [])


@pytest.fixture(scope="module")
def toy_tests(tmp_path_factory):
    """Return the folder of four small test sets."""
    folder = tmp_path_factory.mktemp("sets") / "toy_tests"
    tests = ToyTests(photos=5, size_px=64)
    write_toy_tests(PreparedLayout.of_folder(folder), tests, workers=1)
    return folder


def test_a_digest_is_of_the_truth_and_not_of_its_place(toy_tests, tmp_path):
    copy = tmp_path / "elsewhere"
    copy.symlink_to(toy_tests)
    names = [f"{toy_tests}:mixed", f"{copy}:mixed", f"{toy_tests}:density"]
    register_sets([], names)
    mixed, same, dense = map(truth_digest, names)
    assert mixed == same != dense
    assert len(mixed) == 16
    path = toy_tests / "annotations" / "mixed.json"
    text = path.read_text()
    content = json.loads(text)
    content["annotations"][0]["bbox"][0] += 0.5
    path.write_text(json.dumps(content))
    assert truth_digest(names[0]) != mixed  # a box has moved
    path.write_text(text)
    assert truth_digest([names[0], names[2]]) not in (mixed, dense)


def test_the_usual_sets_and_their_names_in_columns():
    toy, voc = load_config("toy/table2/cb"), load_config("voc07/acnet_r101")
    names = default_tests("toy", toy)
    assert [short_test(name) for name in names] == ["mixed", "colour", "scale", "density"]
    assert default_tests("voc07", voc) == ["voc_2007_test"]
    paths = ["sets/acne:valid", "sets/acne/annotations/valid.json"]
    assert [short_test(name) for name in paths] == ["valid", "valid"]


def test_an_unknown_set_is_refused_with_those_that_are_known():
    with pytest.raises(UserError, match=r"toy_test_mixed.*toy_tests_mixed"):
        register_sets([load_config("toy/table2/cb")], ["toy_test_mixed"])
    assert "toy_tests_mixed" in DatasetCatalog
