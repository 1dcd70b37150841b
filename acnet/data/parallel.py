"""Work on many photos on all cores, with a progress bar and results in order."""

import concurrent.futures
import concurrent.futures.process
import functools
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from acnet.errors import UserError
from acnet.files import progress_bar
from acnet.photos import decode

PARENT_CHECK_SECONDS = 0.5

Item = TypeVar("Item")
Result = TypeVar("Result")

_function: Callable | None = None  # of a worker process, which gets it once and not per photo


def default_workers() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_photos(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int, description: str
) -> list[Result]:
    """Apply a function to every item; the results are in order, whatever the number of workers.

    An error of the function is raised at once, and the rest abandoned.

    Args:
        function: a function of a module, or a partial of one: it travels to other processes.
    """
    progress = functools.partial(_photo_bar, total=len(items), description=description)
    workers = min(workers, len(items))
    if workers <= 1:
        return list(progress(map(function, items)))
    # Forking a process whose libraries run threads can hang, so workers start afresh. Their
    # libraries keep to one thread each: the photos already fill the cores.
    with concurrent.futures.ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(function, os.getpid()),
    ) as pool:
        futures = [pool.submit(_work, item) for item in items]
        try:
            return [future.result() for future in progress(futures)]
        except concurrent.futures.process.BrokenProcessPool as error:
            raise UserError(
                "Every worker process must live until its work is done. Received one that was "
                "killed, perhaps because the memory was full. Run it again with fewer --workers."
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int, description: str
) -> Iterator[Result]:
    """Apply a function to every item in threads of this process, and yield results as they come.

    For work that leaves Python, as decoding and encoding do: threads start at once, share memory,
    and end with their process however it is killed. An error of the function abandons the rest.
    """
    with concurrent.futures.ThreadPoolExecutor(max(workers, 1)) as pool:
        futures = [pool.submit(function, item) for item in items]
        done = concurrent.futures.as_completed(futures)
        try:
            for future in _photo_bar(done, total=len(items), description=description):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _photo_bar(results: Iterable[Result], *, total: int, description: str) -> Iterable[Result]:
    return progress_bar(results, total=total, desc=description, unit="photo")


def _start_worker(function: Callable[[Item], Result], parent: int) -> None:
    global _function
    _function = function
    if decode.cv2 is not None:
        decode.cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    """End a worker whose parent was killed, which could not tell it."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)


def _work(item: Item) -> Result:
    return _function(item)
