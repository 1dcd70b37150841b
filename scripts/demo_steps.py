"""Running the demo's commands: each is shown as it is, its output kept, its failure explained."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

SHOWN_LOG_LINES = 15
LINE_SECONDS = 30.0  # between progress lines where stderr is a file

TRAINING = re.compile(r"eta: (?P<eta>\S+)\s+iter: (?P<iter>\d+)\s+(?P<rest>.*)")
LOSS = re.compile(r"(total_loss|loss_\w+): (\S+)")
INFERENCE = re.compile(r"Inference done (?P<done>\d+/\d+).*ETA=(?P<eta>\S+)")


class StepFailedError(Exception):
    """A command of the demo failed; the message shows which, and its last words."""


class Runner:
    """Runs commands one after the other.

    Args:
        log_folder: Where their output is kept.
        shown_environment: Variables to set for them, shown with each command.
        python_path: Where they find their packages, if those are not installed.
    """

    def __init__(self, log_folder: Path, *, shown_environment: dict[str, str], python_path: Path):
        self._log_folder = log_folder
        self._shown_environment = shown_environment
        self._python_path = python_path

    def run(
        self, name: str, command: Sequence[str], progress: Callable[[str], str | None] | None = None
    ) -> None:
        """Show a command and run it.

        Args:
            name: Of its log file.
            command: Program and arguments.
            progress: Turns a line of output into a line of progress, or None for nothing to show.
                Without it the command writes to the terminal itself, and to no log.

        Raises:
            StepFailedError: It ended with an error.
        """
        variables = [f"{name}={shlex.quote(v)}" for name, v in self._shown_environment.items()]
        shown = " ".join([*variables, shlex.join(command)])
        say(f"$ {shown}")
        if progress is None:
            status, log = subprocess.run(command, env=self._env(), check=False).returncode, None
        else:
            log = self._log_folder / f"{name}.log"
            status = self._run_logged(command, log, progress)
        if status:
            raise StepFailedError(_explain(shown, status, log))

    def _run_logged(
        self, command: Sequence[str], log: Path, progress: Callable[[str], str | None]
    ) -> int:
        log.parent.mkdir(parents=True, exist_ok=True)
        line = ProgressLine()
        with (
            log.open("a", encoding="utf-8") as file,
            subprocess.Popen(
                command,
                env=self._env(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process,
        ):
            for text in process.stdout:
                file.write(text)
                file.flush()
                line.show(progress(text))
        line.end()
        return process.returncode

    def _env(self) -> dict[str, str]:
        paths = [str(self._python_path), os.environ.get("PYTHONPATH")]
        return {
            **os.environ,
            **self._shown_environment,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "PYTHONUNBUFFERED": "1",
        }


class ProgressLine:
    """One line on the terminal that is written over; in a file a line now and then."""

    def __init__(self):
        self._on_terminal = sys.stderr.isatty()
        self._last_time = -LINE_SECONDS
        self._last_text = ""

    def show(self, text: str | None) -> None:
        """Show a text, unless it is None."""
        if text is None:
            return
        if self._on_terminal:
            width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
            sys.stderr.write("\r" + text[:width].ljust(width))
        elif time.monotonic() - self._last_time >= LINE_SECONDS:
            sys.stderr.write(f"{text}\n")
            self._last_time = time.monotonic()
        self._last_text = text
        sys.stderr.flush()

    def end(self) -> None:
        """Leave the last text standing."""
        if self._on_terminal and self._last_text:
            sys.stderr.write("\n")


def training_progress(max_iter: int | None) -> Callable[[str], str | None]:
    """Return what makes progress of a training's log: iteration, ETA and losses.

    Args:
        max_iter: The training's length, None where it is not known before.
    """
    total = f"/{max_iter}" if max_iter else ""

    def progress(line: str) -> str | None:
        if "Nothing to do" in line:
            return "  is finished"
        found = TRAINING.search(line)
        if found is None:
            return evaluation_progress(line)
        losses = [
            f"{name.removeprefix('loss_').replace('total_loss', 'loss')} {float(value):.3f}"
            for name, value in LOSS.findall(found["rest"])
        ]
        iteration = int(found["iter"]) + 1
        return f"  iteration {iteration}{total}, ETA {found['eta']}, {', '.join(losses)}"

    return progress


def evaluation_progress(line: str) -> str | None:
    """Make progress of an evaluation's log: photos and ETA."""
    found = INFERENCE.search(line)
    return f"  photo {found['done']}, ETA {found['eta']}" if found else None


def say(text: str) -> None:
    """Tell the user what happens, on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _explain(shown: str, status: int, log: Path | None) -> str:
    lines = [f"this command failed with exit status {status}:", f"  {shown}"]
    if log is None:
        return "\n".join([*lines, "What went wrong stands above."])
    last = log.read_text(encoding="utf-8").splitlines()[-SHOWN_LOG_LINES:]
    return "\n".join([*lines, f"The end of {log}:", *(f"  | {line}" for line in last)])
