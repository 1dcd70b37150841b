"""Train what is missing, several runs at a time, and write the pages.

A run is a sequence of programs: `train_net.py` as a user would call it, then the measurement. Both
inherit a lock of the run's folder, so that one of them works in it at a time, be it one that a
killed runner left behind.
"""

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from acnet.config import load_config
from acnet.engine.metrics import read_metrics
from acnet.errors import UserError
from acnet.files import default_workers
from projects.ACNet.tables.estimates import Measured
from projects.ACNet.tables.page import write_reports
from projects.ACNet.tables.plan import (
    Run,
    check_records,
    check_runs,
    default_tests,
    make_toy_sets,
    of_equal_time,
    pace_run,
    plan_runs,
    register_sets,
    short_test,
)
from projects.ACNet.tables.record import (
    HEADLINE,
    RESAMPLED,
    STEP_TIME,
    read_record,
    read_records,
)
from projects.ACNet.tables.rows import Row, choose_rows, known_rows

REPO_ROOT = Path(__file__).resolve().parents[3]
TRAIN_NET = REPO_ROOT / "projects" / "ACNet" / "train_net.py"
LOCK_FILE = ".lock"
OUTPUT_FILE = "output.txt"
SHOWN_LINES = 12
# Variables by which libraries learn how many threads they may start.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
POLL_SECONDS = 0.5
LOG_INTERVAL_SECONDS = 30.0  # between progress lines where stderr is a file
LEAVE_SECONDS = 120.0  # for a training to finish its step and save


def make_tables(args: argparse.Namespace) -> tuple[int, str]:
    """Train what is missing, then write the pages; return the exit status, and what to say."""
    tables = args.tables
    if not tables and not args.rows:
        tables = sorted({row.table for row in known_rows(args.data) if row.table})
    rows = choose_rows(args.data, tables=tables, names=args.rows, forms=args.forms)
    failed = [] if args.report_only else _train(args, rows)
    records = list(read_records(args.results / args.data))
    if not records:
        raise UserError(
            "A table is made of records. Received none of this data set in "
            f"{args.results}. Name their folder by --results, or measure without --report-only."
        )
    check_records(records)
    page = write_reports(Measured(rows, records), args.data, args.output, markdown=args.markdown)
    text = f"{len(records)} records; tables: {page}\n"
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
    run_all = partial(_run, jobs=jobs, threads=threads, num_gpus=args.num_gpus)
    failed = []
    if args.seconds:
        paces = {
            run.row: pace_run(run, output=args.output.absolute(), results=args.results.absolute())
            for run in reversed(runs)  # of each row the first seed
        }
        failed = run_all(list(paces.values())[::-1])
        rows = {row for row, pace in paces.items() if pace not in failed}
        runs = [of_equal_time(run, paces[run.row], args.seconds) for run in runs if run.row in rows]
    if not runs:
        return failed
    check_runs(runs, list(read_records(args.results / args.data)))
    return failed + run_all(runs)


def _run(runs: Sequence[Run], **options: int | None) -> list[Run]:
    """Do those of the runs that are not yet measured, and return those that failed."""
    return Runner([run for run in runs if not run.is_measured()], **options).run()


def share_cores(jobs: int | None) -> tuple[int, int | None]:
    """Choose how many trainings run at a time, and with how many threads each.

    Threads do not depend on how many trainings are left: their number decides the order of sums,
    and so the last digits of a loss. On a GPU, where they may be more than the cores, one alone has
    as many threads as torch likes.
    """
    cores = default_workers()
    if torch.cuda.is_available():
        jobs = jobs or 1
        return jobs, None if jobs == 1 else max(1, cores // jobs)
    jobs = jobs or cores
    if jobs > cores:
        raise UserError(
            "Trainings that share a core only take turns, at twice the memory. Received "
            f"--jobs {jobs} for {cores} cores. Give --jobs {cores} or less."
        )
    return jobs, cores // jobs


def take_lock(folder: Path) -> int | None:
    """Lock a run's folder, which is made; None where another process has the lock.

    A program that inherits the descriptor holds the lock until it has ended too: a runner that is
    killed leaves its training behind, which goes on writing checkpoints, and as long as it lives
    no second training can start in the same folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def programs(run: Run, *, jobs: int, num_gpus: int) -> list[list[str]]:
    """List the arguments of Python that do a run, one program after the other."""
    gpus = ["--num-gpus", str(num_gpus)] if num_gpus else []
    return [
        [str(TRAIN_NET), "--config-file", run.row.config, *gpus, "--resume", *run.opts],
        ["-m", "projects.ACNet.tables.measure", str(run.folder), str(jobs)],
    ]


def done_iterations(run: Run) -> int:
    """Tell how many iterations of a run's training are logged; 0 where it has not begun."""
    rows = read_metrics(run.folder / "metrics.json")
    return rows[-1]["iteration"] + 1 if rows else 0


class RunProcess:
    """A run that is being done; `poll` moves it from its training to its measurement.

    Its lock, from `take_lock`, is released when it has ended.
    """

    def __init__(self, run: Run, lock: int, *, jobs: int, threads: int | None, num_gpus: int = 0):
        self.run = run
        self._lock = lock
        limits = {} if threads is None else dict.fromkeys(THREAD_VARIABLES, str(threads))
        python_path = os.pathsep.join(filter(None, [str(REPO_ROOT), os.environ.get("PYTHONPATH")]))
        self.environment = (
            os.environ | limits | {"PYTHONPATH": python_path, "PYTHONUNBUFFERED": "1"}
        )
        run.write()
        self._steps = programs(run, jobs=jobs, num_gpus=num_gpus)
        self._log = run.folder / OUTPUT_FILE
        self._log_start = self._log.stat().st_size if self._log.is_file() else 0
        self._process = self._start()

    def poll(self) -> int | None:
        """Go on to the next program if one has ended; return 0 when all is done, or what failed."""
        status = self._process.poll()
        if status is None:
            return None
        if status == 0 and self._steps:
            self._process = self._start()
            return None
        os.close(self._lock)
        return status

    def stop(self) -> None:
        """Ask the program to save and leave."""
        self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for the program to leave, and end it by force after some seconds."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._lock)

    def last_words(self) -> str:
        """Return the end of the output of this run, this time."""
        with self._log.open(encoding="utf-8", errors="replace") as file:
            file.seek(self._log_start)
            lines = file.read().splitlines()
        return "\n".join(f"  | {line}" for line in lines[-SHOWN_LINES:])

    def _start(self) -> subprocess.Popen:
        with self._log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, *self._steps.pop(0)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                pass_fds=[self._lock],
                start_new_session=True,  # Ctrl-C reaches the runner alone, which tells the others
            )


class Runner:
    """Runs what is left to do, in the order of the runs."""

    def __init__(self, runs: Sequence[Run], *, jobs: int, threads: int | None, num_gpus: int = 0):
        self._options = {"jobs": jobs, "threads": threads, "num_gpus": num_gpus}
        self._waiting = list(runs)
        self._active: list[RunProcess] = []
        self._failed: list[Run] = []
        self._finished = 0  # iterations of the runs that have ended

    def run(self) -> list[Run]:
        """Do all runs, and return those that failed, whose last words have been shown.

        Ctrl-C or SIGTERM interrupt it after the trainings have saved.
        """
        bar = tqdm(
            total=sum(run.iterations for run in self._waiting),
            initial=self._count(),
            desc=f"{len(self._waiting)} runs",
            unit="it",
            mininterval=0.1 if sys.stderr.isatty() else LOG_INTERVAL_SECONDS,
        )
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            while self._waiting or self._active:
                self._fill()
                time.sleep(POLL_SECONDS)
                self._poll()
                names = [f"{one.run.row.key}:{one.run.seed}" for one in self._active]
                waits = "waiting for another command" if self._waiting else ""
                bar.set_postfix_str(" ".join(names) or waits, refresh=False)
                bar.update(self._count() - bar.n)
        finally:  # after an interruption some are active
            for process in self._active:
                process.stop()
            for process in self._active:
                process.wait(LEAVE_SECONDS)
            signal.signal(signal.SIGTERM, previous)
            bar.close()
        return self._failed

    def _fill(self) -> None:
        """Start runs whose folder is free, until enough are active."""
        for run in list(self._waiting):
            if len(self._active) == self._options["jobs"]:
                return
            lock = take_lock(run.folder)
            if lock is None:
                continue  # another command has it, or what a killed one left
            self._waiting.remove(run)
            if run.is_measured():
                os.close(lock)
                self._finish(run, "was done meanwhile")
            else:
                self._active.append(RunProcess(run, lock, **self._options))

    def _poll(self) -> None:
        for process in list(self._active):
            status = process.poll()
            if status is None:
                continue
            self._active.remove(process)
            if status == 0:
                _drop_checkpoints(process.run)
                self._finish(process.run, _result(process.run))
            else:
                self._failed.append(process.run)
                words = process.last_words()
                self._finish(process.run, f"failed with status {status}:\n{words}")

    def _finish(self, run: Run, text: str) -> None:
        self._finished += run.iterations
        tqdm.write(f"{run.name}: {text}", file=sys.stderr)

    def _count(self) -> int:
        pending = [*self._waiting, *(process.run for process in self._active)]
        return self._finished + sum(map(done_iterations, pending))


def _drop_checkpoints(run: Run) -> None:
    """Delete all checkpoints of a finished run but the final one, which pictures need."""
    for path in run.folder.glob("model_*.pth"):
        if path.name == "model_best.pth" or path.stem.removeprefix("model_").isdigit():
            path.unlink()


def _result(run: Run) -> str:
    """The headline of a finished run, set by set."""
    record = read_record(run.record)
    if not run.tests:
        return f"{record.content['times'][STEP_TIME]} s a step"
    values = [(short_test(name), record.value(name, HEADLINE)) for name in run.tests]
    shown = [f"{name} {value:.1f}" for name, value in values if value is not None]
    return f"{RESAMPLED[HEADLINE]}: {', '.join(shown)}"
