"""Only what was measured under the same settings stands in one table."""

from collections.abc import Sequence
from pathlib import Path

from acnet.tables.job import has_job, read_job
from acnet.tables.plan import Run
from acnet.tables.record import Record
from acnet.tables.settings import check_equal

THIS = "this command"


def check_runs(runs: Sequence[Run], records: Sequence[Record]) -> None:
    """Refuse runs that would not be comparable with each other, or with what is there.

    Args:
        runs: that are planned.
        records: of the same data set, of these rows or others.

    Raises:
        UserError: settings differ from row to row, from those of a record, or from those of a
            training that was begun.
    """
    planned = {run.row.config: run for run in runs}
    first = runs[0]
    for run in planned.values():
        same_form = run.row.form == first.row.form
        names = (first.row.config, run.row.config)
        check_equal(first.settings, run.settings, names, same_form=same_form)
    for run in runs:
        if has_job(run.folder):
            job, names = read_job(run.folder), (THIS, f"the training begun in {run.folder}")
            check_equal(run.settings, job.settings, names)
            check_equal(run.model, job.model, names)
    for record in records:
        run = planned.get(record.row, first)
        names = (THIS, _shown(record.path))
        check_equal(run.settings, record.settings, names, same_form=run.row.form == record.form)
        check_equal(run.tests, _common_tests(record, run.tests), names)
        if record.row in planned:
            check_equal(run.model, record.content["model"], names)


def check_records(records: Sequence[Record]) -> None:
    """Refuse records that are not comparable with each other.

    Args:
        records: of one data set.

    Raises:
        UserError: their settings differ.
    """
    for record in records:
        for other in (records[0], _first_of_form(records, record.form)):
            names = (_shown(other.path), _shown(record.path))
            same_form = other.form == record.form
            check_equal(other.settings, record.settings, names, same_form=same_form)
        tests = {name: test["data"] for name, test in records[0].content["tests"].items()}
        check_equal(tests, _common_tests(record, tests), names)


def _common_tests(record: Record, tests: dict[str, str]) -> dict[str, str]:
    """The tests of a row, with the record's data where it has the same set."""
    there = record.content["tests"]
    return {name: there[name]["data"] if name in there else tests[name] for name in tests}


def _first_of_form(records: Sequence[Record], form: str) -> Record:
    return next(record for record in records if record.form == form)


def _shown(path: Path) -> str:
    return f"the record {path}"
