"""The program from its command line's arguments to its pages."""

import argparse
from collections.abc import Sequence

import torch

from acnet.config import load_config
from acnet.data.parallel import default_workers
from acnet.errors import UserError
from projects.ACNet.tables.estimates import Measured
from projects.ACNet.tables.page import write_reports
from projects.ACNet.tables.plan import (
    Run,
    check_records,
    check_runs,
    default_tests,
    make_toy_sets,
    plan_runs,
    register_sets,
)
from projects.ACNet.tables.record import read_records
from projects.ACNet.tables.rows import Row, choose_rows, known_rows
from projects.ACNet.tables.runner import Runner


def make_tables(args: argparse.Namespace) -> tuple[int, str]:
    """Train what is missing, then write the pages.

    Args:
        args: of `build_parser`, with `output` and `results` filled in.

    Returns:
        The exit status, and what to say.

    Raises:
        UserError: something is unknown, or settings differ.
    """
    tables = args.tables
    if not tables and not args.rows:
        tables = sorted({row.table for row in known_rows(args.data) if row.table})
    rows = choose_rows(args.data, tables=tables, names=args.rows, forms=args.forms)
    failed = [] if args.report_only else _train(args, rows)
    text = _write_pages(args, rows)
    if failed:
        names = "\n".join(f"  {run.name}: see {run.folder}" for run in failed)
        text += f"{len(failed)} trainings failed, the others were done:\n{names}\n"
    return (1 if failed else 0), text


def _train(args: argparse.Namespace, rows: Sequence[Row]) -> list[Run]:
    length = [] if args.iterations is None else [f"train.max_iter={args.iterations}"]
    overrides = [*args.opts, *length]
    cfgs = {row: load_config(row.config, overrides) for row in rows}
    tests = list(dict.fromkeys(args.test or default_tests(args.data, cfgs[rows[0]])))
    jobs, threads = share_cores(args.jobs)
    if args.data == "toy":
        make_toy_sets()
    register_sets(cfgs.values(), tests)
    runs = plan_runs(
        cfgs,
        tests=tests,
        seeds=list(dict.fromkeys(args.seeds)),
        overrides=overrides,
        output=args.output.absolute(),
        results=args.results.absolute(),
    )
    records = list(read_records(args.results / args.data))
    check_runs(runs, records)
    there = {record.path.absolute(): record for record in records}
    left = [
        run for run in runs if run.record not in there or not run.is_measured_by(there[run.record])
    ]
    return Runner(left, jobs=jobs, threads=threads, num_gpus=args.num_gpus).run()


def _write_pages(args: argparse.Namespace, rows: Sequence[Row]) -> str:
    """Write the pages from the records that are there, and return what to say about it."""
    records = list(read_records(args.results / args.data))
    if not records:
        raise UserError(
            "A table is made of records. Received none of this data set in "
            f"{args.results}. Name their folder by --results, or measure without --report-only."
        )
    check_records(records)
    page = write_reports(
        Measured(rows, records),
        args.data,
        args.output,
        markdown=args.markdown,
        marker=args.marker or args.data,
    )
    return f"{len(records)} records; tables: {page}\n"


def share_cores(jobs: int | None) -> tuple[int, int | None]:
    """Choose how many trainings run at a time, and with how many threads each.

    Threads do not depend on how many trainings are left: their number decides the order of sums,
    and so the last digits of a loss.

    Args:
        jobs: as the user wants it; None for one a core, or one on a GPU.

    Returns:
        Trainings, and threads of each so that together they fill the cores; on a GPU with as many
        threads as torch likes.

    Raises:
        UserError: more trainings than cores.
    """
    if torch.cuda.is_available():
        return jobs or 1, None
    cores = default_workers()
    jobs = jobs or cores
    if jobs > cores:
        raise UserError(
            "Trainings that share a core only take turns, at twice the memory. Received "
            f"--jobs {jobs} for {cores} cores. Give --jobs {cores} or less."
        )
    return jobs, cores // jobs
