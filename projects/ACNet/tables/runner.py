"""Does the runs, several at a time, and shows how far all of them are."""

import contextlib
import logging
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tqdm import tqdm

from acnet.tables.lock import FolderLock
from acnet.tables.numbers import HEADLINE, RESAMPLED
from acnet.tables.plan import Run
from acnet.tables.process import RunProcess, done_iterations, drop_checkpoints
from acnet.tables.record import read_record
from acnet.tables.test_sets import short_test

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
LOG_INTERVAL_SECONDS = 30.0  # between progress lines where stderr is a file
LEAVE_SECONDS = 120.0  # for a training to finish its step and save


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A run that ended with an error.

    Args:
        run: which.
        status: of its program.
        last_words: end of its output.
    """

    run: Run
    status: int
    last_words: str


class Runner:
    """Runs what is left to do.

    Args:
        runs: all of them, in the order in which they should be done.
        jobs: how many at a time.
        threads: of each; None leaves it to torch.
        num_gpus: of each training.
    """

    def __init__(self, runs: Sequence[Run], *, jobs: int, threads: int | None, num_gpus: int = 0):
        self._runs = runs
        self._options = {"jobs": jobs, "threads": threads, "num_gpus": num_gpus}
        self._waiting = list(runs)
        self._active: list[RunProcess] = []
        self._failures: list[Failure] = []
        self._finished = 0  # iterations of the runs that have ended
        self._said: set[tuple[str, str]] = set()
        self._bar: tqdm | None = None

    def run(self) -> list[Failure]:
        """Do all runs; one that fails does not keep the others from running.

        Returns:
            Those that failed.

        Raises:
            KeyboardInterrupt: by Ctrl-C or SIGTERM, after the trainings have saved.
        """
        total = sum(run.iterations for run in self._runs)
        with (
            _sigterm_interrupts(),
            tqdm(
                total=total,
                initial=self._count(),
                desc=f"{len(self._runs)} runs",
                unit="it",
                mininterval=0.1 if sys.stderr.isatty() else LOG_INTERVAL_SECONDS,
            ) as self._bar,
        ):
            try:
                while self._waiting or self._active:
                    self._fill()
                    time.sleep(POLL_SECONDS)
                    self._poll()
            except BaseException:
                self._leave()
                raise
        return self._failures

    def _fill(self) -> None:
        """Start runs whose folder is free, until enough are active."""
        for run in list(self._waiting):
            if len(self._active) == self._options["jobs"]:
                return
            lock = FolderLock(run.folder)
            if not lock.take():
                self._say_once(run, "waits for another command, or for what a killed one left")
                continue
            self._waiting.remove(run)
            if run.record.is_file() and run.is_measured_by(read_record(run.record)):
                lock.release()
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
                drop_checkpoints(process.run)
                self._finish(process.run, _result(process.run))
            else:
                failure = Failure(run=process.run, status=status, last_words=process.last_words())
                self._failures.append(failure)
                self._finish(process.run, f"failed with status {status}:\n{failure.last_words}")
        names = [f"{one.run.row.key}:{one.run.seed}" for one in self._active]
        waits = "waiting for another command" if self._waiting else ""
        self._bar.set_postfix_str(" ".join(names) or waits, refresh=False)
        self._bar.n = self._count()
        self._bar.update(0)

    def _finish(self, run: Run, text: str) -> None:
        self._finished += run.iterations
        self._say_once(run, text)

    def _say_once(self, run: Run, text: str) -> None:
        if (run.name, text) not in self._said:
            self._said.add((run.name, text))
            tqdm.write(f"{run.name}: {text}", file=sys.stderr)

    def _count(self) -> int:
        active = sum(process.iterations() for process in self._active)
        return self._finished + active + sum(done_iterations(run) for run in self._waiting)

    def _leave(self) -> None:
        for process in self._active:
            process.stop()
        for process in self._active:
            process.wait(LEAVE_SECONDS)


def _result(run: Run) -> str:
    """The headline of a finished run, set by set."""
    record = read_record(run.record)
    values = [(short_test(name), record.value(name, HEADLINE)) for name in run.tests]
    shown = [f"{name} {value:.1f}" for name, value in values if value is not None]
    return f"{RESAMPLED[HEADLINE]}: {', '.join(shown)}"


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM do inside the block what Ctrl-C does."""

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
