"""Runs of a benchmark: each in a process of its own, timed inside it, with its peak memory."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPO_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Run:
    """What one run took.

    Args:
        seconds: as the process measured them, without its imports.
        cpu_seconds: of all cores, with its imports; other work on the machine hardly changes it.
        peak_mb: largest resident memory of the process, or of one that it started and waited for.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float


def run(command: Sequence[str], *, cores: int) -> Run:
    """Runs a program whose last line of output is a JSON object with `seconds`.

    Args:
        command: the program.
        cores: how many of this machine's it may use.

    Raises:
        subprocess.CalledProcessError: it failed; its errors were shown.
    """
    os.sync()  # what was written before must not be flushed during this run
    chosen = set(sorted(os.sched_getaffinity(0))[:cores])
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)  # children inherit it
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPO_ROOT) as process:
            output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        os.sched_setaffinity(0, before)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    seconds = json.loads(output.splitlines()[-1])["seconds"]
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def peer_python(folder: Path, requirements: Sequence[str]) -> Path:
    """Makes an environment for a peer, unless it is there.

    The peer and what only it needs are installed there; all else (numpy, Pillow, OpenCV, torch) is
    that of the running environment, so that both sides use the same versions.

    Args:
        folder: of the environment.
        requirements: with versions; their own dependencies are not followed.

    Returns:
        Its interpreter.
    """
    python = folder / "bin" / "python"
    done = folder / "requirements.json"
    if done.is_file() and json.loads(done.read_text()) == list(requirements):
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, *requirements], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    running = [path for path in sys.path if path.endswith("site-packages")]
    (site_packages / "shared.pth").write_text("\n".join([*running, ""]))
    done.write_text(json.dumps(list(requirements)))
    return python


def report(result: Mapping[str, object]) -> None:
    """Writes a benchmark's result, one line of JSON.

    Args:
        result: what was measured.
    """
    sys.stdout.write(json.dumps(result) + "\n")
