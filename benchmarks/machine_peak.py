"""How fast this machine multiplies matrices: the yardstick for everything else it computes."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch

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
    size: int,
    dtype: torch.dtype,
    device: torch.device,
    products: int,
    clock: Callable[[], float],
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
        "cpu": _cpu_name(),
        "threads": torch.get_num_threads(),
        "load": load,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _cpu_name() -> str:
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
