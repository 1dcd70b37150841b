"""What all benchmarks share: runs and turns, peers, the machine, and the line of JSON.

A benchmark's last line is a JSON object: `name`, `ratio` (the peer's time over ours), `ours` and
`peer` (medians of seconds), `runs`, and what it has beside these.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

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


def take_turns(sides: Sequence[Callable[[], None]], runs: int) -> None:
    """Run every side once to warm up and then `runs` times, one after the other."""
    for _ in range(runs + 1):
        for side in sides:
            side()


GIGA = 1e9
SIZES = (1024, 2048, 4096)
PRODUCTS = 6


def matrix_peak(
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    *,
    products: int = PRODUCTS,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Returns the speed of the fastest of a few square matrix products, in GMACs a second.

    The best of several sizes, since the library, not the arithmetic, decides which one does best.
    Other work on the machine can only lower it, so measure it next to what it is compared with.

    Args:
        dtype: of both matrices.
        device: where they are.
        products: of each size.
        clock: gives seconds.
    """
    return max(_speed(size, dtype, torch.device(device), products, clock) for size in SIZES)


def _speed(
    size: int, dtype: torch.dtype, device: torch.device, products: int, clock: Callable[[], float]
) -> float:
    one = torch.randn(size, size, device=device).to(dtype)
    out = torch.empty_like(one)
    seconds = []
    for _ in range(products):
        synchronize(device)
        start = clock()
        torch.matmul(one, one, out=out)
        synchronize(device)
        seconds.append(clock() - start)
    return size**3 / GIGA / min(seconds)


def synchronize(device: torch.device) -> None:
    """Waits until a GPU has done what it was given; a CPU always has.

    Args:
        device: of the work.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def machine_state() -> dict[str, object]:
    """Returns what a figure is worth little without: processor, threads, load, versions."""
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    return {
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "load": load,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def cpu_name() -> str:
    """Returns what the processor calls itself."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def clock_of_this_run() -> Callable[[], float]:
    """Returns the clock to measure with: with one thread that thread's own time.

    Other work on the machine hardly moves it; with more threads only the wall clock sees them all.
    """
    return time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
