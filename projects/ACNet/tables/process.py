"""A run as a sequence of programs: `train_net.py` as a user would call it, then the measurement."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from acnet.engine.metrics import read_metrics
from acnet.tables.job import Job, write_job
from acnet.tables.lock import FolderLock
from acnet.tables.plan import Run

REPO_ROOT = Path(__file__).resolve().parents[2]
TRAIN_NET = REPO_ROOT / "projects" / "ACNet" / "train_net.py"
OUTPUT_FILE = "output.txt"
SHOWN_LINES = 12
# Variables by which libraries learn how many threads they may start.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class RunProcess:
    """A run that is being done; `poll` moves it from its training to its measurement.

    Args:
        run: to be done.
        lock: of its folder, held; released when the run has ended.
        jobs: runs at a time.
        threads: of each program; None leaves it to torch.
        num_gpus: of the training.
    """

    def __init__(
        self, run: Run, lock: FolderLock, *, jobs: int, threads: int | None, num_gpus: int
    ):
        self.run = run
        self._lock = lock
        self._environment = _environment(threads)
        write_job(
            Job(
                config=run.row.config,
                form=run.row.form,
                seed=run.seed,
                opts=run.opts,
                folder=run.folder,
                record=run.record,
                settings=run.settings,
                model=run.model,
                tests=tuple(run.tests),
                jobs=jobs,
            )
        )
        self._steps = programs(run, num_gpus=num_gpus)
        self._log = run.folder / OUTPUT_FILE
        self._log_start = self._log.stat().st_size if self._log.is_file() else 0
        self._process = self._start()

    def poll(self) -> int | None:
        """Go on to the next program if one has ended.

        Returns:
            None while there is something to do, 0 when all is done, or what a program failed with.
        """
        status = self._process.poll()
        if status is None:
            return None
        if status == 0 and self._steps:
            self._process = self._start()
            return None
        self._lock.release()
        return status

    def iterations(self) -> int:
        """Tell how many iterations of the training are done."""
        return done_iterations(self.run)

    def stop(self) -> None:
        """Ask the program to save and leave."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        """Wait for the program to leave, and end it by force if it does not.

        Args:
            seconds: how long.
        """
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._lock.release()

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
                env=self._environment,
                pass_fds=[self._lock.descriptor],
                start_new_session=True,  # Ctrl-C reaches the runner alone, which tells the others
            )


def programs(run: Run, *, num_gpus: int) -> list[list[str]]:
    """List the arguments of Python that do a run, one program after the other.

    Args:
        run: to be done.
        num_gpus: of the training.
    """
    gpus = ["--num-gpus", str(num_gpus)] if num_gpus else []
    return [
        [str(TRAIN_NET), "--config-file", run.row.config, *gpus, "--resume", *run.opts],
        ["-m", "acnet.tables.measure", str(run.folder)],
    ]


def done_iterations(run: Run) -> int:
    """Tell how many iterations of a run's training are logged.

    Args:
        run: begun or not.
    """
    rows = read_metrics(run.folder / "metrics.json")
    return rows[-1]["iteration"] + 1 if rows else 0


def drop_checkpoints(run: Run) -> None:
    """Delete all checkpoints of a finished run but the final one, which pictures need.

    Args:
        run: that has its record.
    """
    for path in sorted(run.folder.glob("model_*.pth")):
        if path.name == "model_best.pth" or path.stem.removeprefix("model_").isdigit():
            path.unlink()


def _environment(threads: int | None) -> dict[str, str]:
    paths = [str(REPO_ROOT), os.environ.get("PYTHONPATH")]
    limits = {} if threads is None else dict.fromkeys(THREAD_VARIABLES, str(threads))
    python_path = os.pathsep.join(path for path in paths if path)
    return {**os.environ, **limits, "PYTHONPATH": python_path, "PYTHONUNBUFFERED": "1"}
