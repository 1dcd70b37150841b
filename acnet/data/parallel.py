"""Work on many photos on all cores, with a progress bar and results in order."""

import concurrent.futures
import functools
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import cv2
from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")

LOG_INTERVAL_SECONDS = 30.0  # between progress lines where stderr is a file


_function: Callable | None = None  # of a worker process, which gets it once and not per photo


def default_workers() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_photos(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    description: str,
) -> list[Result]:
    """Applies a function to every item; the result does not depend on the number of workers.

    Args:
        function: a function of a module, or a partial of one: it travels to other processes.
        items: its arguments.
        workers: processes; 1 works in this one.
        description: the progress bar's title, on stderr.

    Returns:
        One result per item, in the items' order.

    Raises:
        Whatever the function raises first; the rest is then abandoned.
    """
    progress = functools.partial(
        tqdm,
        total=len(items),
        desc=description,
        unit="photo",
        mininterval=0.1 if sys.stderr.isatty() else LOG_INTERVAL_SECONDS,
    )
    workers = min(workers, len(items))
    if workers <= 1:
        return list(progress(map(function, items)))
    # Forking a process whose libraries run threads can hang, so workers start afresh. Their
    # libraries keep to one thread each: the photos already fill the cores.
    with concurrent.futures.ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(function,),
    ) as pool:
        futures = [pool.submit(_work, item) for item in items]
        try:
            return [future.result() for future in progress(futures)]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start_worker(function: Callable[[Item], Result]) -> None:
    global _function  # noqa: PLW0603 - a process has no other memory between calls
    _function = function
    cv2.setNumThreads(1)


def _work(item: Item) -> Result:
    return _function(item)
