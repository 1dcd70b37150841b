"""`acnet tables` from its request to its pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from acnet.data.parallel import default_workers
from acnet.errors import UserError
from acnet.tables.checks import check_records, check_runs
from acnet.tables.plan import Choices, Run, load_rows, plan_runs
from acnet.tables.record import Record, read_records
from acnet.tables.rows import Row, choose_rows, known_rows
from acnet.tables.runner import Failure, Runner
from acnet.tables.test_sets import default_tests, make_toy_sets, register_sets


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks for.

    Args:
        data: "toy", "acne04" or "voc07".
        tables: of the paper; with `names` empty as well, all.
        names: of configs.
        forms: "letter", "tuned" or both.
        tests: sets to measure on; empty for the usual ones.
        seeds: of the trainings.
        iterations: of each training; None for the configs' own.
        overrides: key=value for all rows.
        jobs: trainings at a time; None for one a core, or one on a GPU.
        num_gpus: of one training.
        output: folder of runs and pages.
        results: folder of the records.
        markdown: file with markers to write the tables into, or None.
        marker: name of its markers; None for `data`.
        report_only: train nothing.
    """

    data: str
    tables: tuple[int, ...]
    names: tuple[str, ...]
    forms: tuple[str, ...]
    tests: tuple[str, ...]
    seeds: tuple[int, ...]
    iterations: int | None
    overrides: tuple[str, ...]
    jobs: int | None
    num_gpus: int
    output: Path
    results: Path
    markdown: Path | None
    marker: str | None
    report_only: bool


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the command has to say.

    Args:
        status: of the exit.
        text: for stdout.
    """

    status: int
    text: str


def make_tables(request: Request) -> Outcome:
    """Train what is missing, then write the pages.

    Args:
        request: of the user.

    Returns:
        What to say.

    Raises:
        UserError: something in the request is unknown, or settings differ.
    """
    rows = _rows(request)
    failures: list[Failure] = []
    if not request.report_only:
        failures = _train(request, rows)
    text = write_pages(request, rows)
    if failures:
        names = "\n".join(f"  {one.run.name}: see {one.run.folder}" for one in failures)
        text += f"{len(failures)} trainings failed, the others were done:\n{names}\n"
    return Outcome(status=1 if failures else 0, text=text)


def write_pages(request: Request, rows: Sequence[Row]) -> str:
    """Write the pages from the records that are there.

    Args:
        request: of the user.
        rows: that are wanted.

    Returns:
        What to say about it.

    Raises:
        UserError: there is no record, or the records are not comparable.
    """
    from acnet.tables.measured import Measured
    from acnet.tables.report import write_reports

    records = _records(request)
    if not records:
        raise UserError(
            "A table is made of records. Received none of this data set in "
            f"{request.results}. Name their folder by --results, or measure without --report-only."
        )
    check_records(records)
    page = write_reports(
        Measured(rows, records),
        request.data,
        request.output,
        markdown=request.markdown,
        marker=request.marker or request.data,
    )
    return f"{len(records)} records; tables: {page}\n"


def _rows(request: Request) -> list[Row]:
    tables = request.tables
    if not tables and not request.names:
        tables = tuple(sorted({row.table for row in known_rows(request.data) if row.table}))
    return choose_rows(request.data, tables=tables, names=request.names, forms=request.forms)


def _train(request: Request, rows: Sequence[Row]) -> list[Failure]:
    choices = _choices(request, rows)
    cfgs = load_rows(rows, choices)
    jobs, threads = share_cores(request)
    if request.data == "toy":
        make_toy_sets()
    register_sets(cfgs.values(), choices.tests)
    runs = plan_runs(cfgs, choices)
    records = _records(request)
    check_runs(runs, records)
    left = _left(runs, records)
    return Runner(left, jobs=jobs, threads=threads, num_gpus=request.num_gpus).run()


def _choices(request: Request, rows: Sequence[Row]) -> Choices:
    from acnet.config import load_config

    tests = request.tests or default_tests(request.data, load_config(rows[0].config))
    return Choices(
        tests=tuple(dict.fromkeys(tests)),
        seeds=request.seeds,
        iterations=request.iterations,
        overrides=request.overrides,
        output=request.output.absolute(),
        results=request.results.absolute(),
        num_gpus=request.num_gpus,
    )


def _records(request: Request) -> list[Record]:
    return list(read_records(request.results / request.data))


def _left(runs: Sequence[Run], records: Sequence[Record]) -> list[Run]:
    measured = {record.path.absolute(): record for record in records}
    return [
        run
        for run in runs
        if run.record not in measured or not run.is_measured_by(measured[run.record])
    ]


def share_cores(request: Request) -> tuple[int, int | None]:
    """Choose how many trainings run at a time, and with how many threads each.

    Threads do not depend on how many trainings are left: their number decides the order of sums,
    and so the last digits of a loss.

    Args:
        request: of the user.

    Returns:
        Trainings, and threads of each so that together they fill the cores; on a GPU one training,
        with as many threads as torch likes.

    Raises:
        UserError: more trainings than cores.
    """
    if torch.cuda.is_available():
        return request.jobs or 1, None
    cores = default_workers()
    jobs = request.jobs or cores
    if jobs > cores:
        raise UserError(
            "Trainings that share a core only take turns, at twice the memory. Received "
            f"--jobs {jobs} for {cores} cores. Give --jobs {cores} or less."
        )
    return jobs, cores // jobs
