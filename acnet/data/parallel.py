"""Work on many photos on all cores, with a progress bar and results in order."""

import concurrent.futures
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from acnet.files import progress_bar

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_photos(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int, description: str
) -> Iterator[Result]:
    """Apply a function to every item in threads of this process, and yield the results in order.

    For work that leaves Python, as decoding, encoding and drawing do: threads start at once, share
    memory, and end with their process however it is killed. An error of the function abandons the
    rest.
    """
    with concurrent.futures.ThreadPoolExecutor(max(workers, 1)) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            for future in progress_bar(futures, desc=description, unit="photo"):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
