"""What was measured under other settings is refused, with what differs and what to do."""

import dataclasses

import pytest

from acnet.errors import UserError
from acnet.tables.checks import check_records, check_runs
from acnet.tables.job import Job, read_job, write_job
from acnet.tables.record import read_records
from acnet.tables.rows import known_rows
from acnet.tables.settings import differences
from tests.tables.sample_records import SETTINGS, add_record, model_of
from tests.tables.sample_runs import make_run


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


def test_equal_settings_pass(tmp_path, runs):
    add_record(tmp_path / "results", "toy/table2/baseline", 1, 30.0)
    add_record(tmp_path / "results", "toy/tuned/table2/cb_dce", 1, 30.0, form="tuned")
    check_runs(runs, records(tmp_path))
    check_records(records(tmp_path))
    check_runs(runs, [])


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


def test_records_are_refused_among_each_other(tmp_path):
    add_record(tmp_path / "results", "toy/table2/baseline", 1, 30.0)
    add_record(tmp_path / "results", "toy/table2/cb", 1, 30.0, iterations=800)
    with pytest.raises(UserError, match=r"baseline/seed_1.*cb/seed_1.*iterations: 400 and 800"):
        check_records(records(tmp_path))


def test_the_tuned_form_may_have_a_schedule_of_its_own_but_one_for_all_its_rows(tmp_path):
    results = tmp_path / "results"
    add_record(results, "toy/table2/baseline", 1, 30.0)
    own = {"schedule": {"end_value": 1}, "form": "tuned"}
    add_record(results, "toy/tuned/table2/acnet", 1, 30.0, **own)
    check_records(records(tmp_path))
    add_record(results, "toy/tuned/table2/cb_dce", 1, 30.0, form="tuned")
    with pytest.raises(UserError, match=r"schedule: end_value: 1 and 0"):
        check_records(records(tmp_path))


def test_a_row_whose_config_has_changed_is_refused(tmp_path, runs):
    changed = dataclasses.replace(runs[0], model={**runs[0].model, "backbone.width": 0.5})
    add_record(tmp_path / "results", "toy/table2/baseline", 1, 30.0)
    with pytest.raises(UserError, match=r"backbone\.width: 0\.5 and None"):
        check_runs([changed, *runs[1:]], records(tmp_path))


def test_another_test_set_of_the_same_name_is_refused(tmp_path, runs):
    other = dataclasses.replace(runs[0], tests={"toy_tests_mixed": "ffff"})
    add_record(tmp_path / "results", "toy/table2/baseline", 1, 30.0)
    with pytest.raises(UserError, match=r"toy_tests_mixed: 'ffff' and 'toy_tests_mixed'"):
        check_runs([other], records(tmp_path))
    new = dataclasses.replace(runs[0], tests={"another": "ffff"})
    check_runs([new], records(tmp_path))  # a further set is no other set


def test_a_training_that_was_begun_otherwise_is_refused(runs):
    run = runs[0]
    run.folder.mkdir(parents=True)
    job = Job(
        config=run.row.config,
        form="letter",
        seed=1,
        opts=("a=1",),
        folder=run.folder,
        record=run.record,
        settings=SETTINGS | {"iterations": 800},
        model=run.model,
        tests=("x",),
        jobs=1,
    )
    write_job(job)
    assert read_job(run.folder) == job
    with pytest.raises(UserError, match=r"the training begun in .*iterations: 400 and 800"):
        check_runs(runs, [])


def test_rows_that_disagree_from_the_start_are_refused(runs):
    other = dataclasses.replace(runs[1], settings=SETTINGS | {"images a batch": 8})
    with pytest.raises(UserError, match=r"table2/baseline and toy/table2/cb_dce.*4 and 8"):
        check_runs([runs[0], other], [])


def test_differences_by_hand():
    here = {"a": 1, "b": {"x": 1, "y": 2}, "schedule": 1}
    there = {"a": 1, "b": {"x": 1, "y": 3}, "schedule": 2, "c": 4}
    assert differences(here, there) == {"b: y": (2, 3), "c": (None, 4), "schedule": (1, 2)}
    assert "schedule" not in differences(here, there, same_form=False)
    assert differences({}, {}) == {}
