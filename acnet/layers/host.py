"""What passes between host and device, and what one of them does while the other is busy.

A GPU runs what it is given in order, and the host waits only where it needs a value. NMS and
Soft-NMS pick on the host, in threads that wait for the values themselves; whoever began them may
give the device more to do meanwhile. Functions that do so are generators: they yield where another
may go on, and return their result.
"""

import functools
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Result = TypeVar("Result")
Turns = Generator[None, None, Result]  # of a function that yields where another may go on


def sent_along(values: list | np.ndarray, like: Tensor) -> Tensor:
    """Put values of the host beside a tensor, for which a GPU's host does not wait.

    A list takes the tensor's type, an array keeps its own.
    """
    if isinstance(values, np.ndarray):
        tensor = torch.from_numpy(values)
    else:
        tensor = torch.tensor(values, dtype=like.dtype)
    if like.is_cuda:
        tensor = tensor.pin_memory()
    return tensor.to(like.device, non_blocking=True)


def is_recorded(*tensors: Tensor) -> bool:
    """Tell whether torch records what is computed (export, tracing, compiling) or has no values."""
    is_on = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return is_on or any(type(one) is not Tensor for one in tensors)


def constant(values: tuple, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers beside a tensor, and of its type if no other is given; they are sent once.

    Nobody may change what this returns.
    """
    dtype = like.dtype if dtype is None else dtype
    if is_recorded(like):
        return torch.tensor(values, dtype=dtype, device=like.device)
    return _constant(values, dtype, like.device)


@functools.lru_cache(maxsize=1000)
def _constant(values: tuple, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # so that it may also be part of a training
        return torch.tensor(values, dtype=dtype, device=device)


class Fetched:
    """Values of a tensor on their way to the host, which waits for them when it reads them."""

    def __init__(self, tensor: Tensor) -> None:
        # From CUDA into pinned memory; of other devices nobody could tell when it has arrived.
        self._values = tensor.to("cpu", non_blocking=tensor.is_cuda)
        self._arrived = None
        if tensor.is_cuda:
            self._arrived = torch.cuda.Event()
            self._arrived.record(torch.cuda.current_stream(tensor.device))

    def numpy(self) -> np.ndarray:
        """Wait for the values alone, not for what the device was given since."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._values.numpy()


def begin_for_each_image(
    function: Callable, fetched: Fetched, *columns: Iterable
) -> Callable[[], list]:
    """Apply a function of the host to each image of a batch, in threads if there are several.

    Compiled loops leave the interpreter to other threads meanwhile.

    Args:
        function: of the values that are fetched, and of one of each column.
        columns: as long as the batch.

    Returns:
        A function that gives the results, in the order of the images, or raises the first error.
    """
    arguments = list(zip(*columns, strict=True))
    if len(arguments) == 1:
        return lambda: [function(fetched.numpy(), *arguments[0])]
    threads = _threads(os.getpid())
    values = threads.submit(fetched.numpy)  # one waits for the device, the others for that one
    futures = [
        threads.submit(lambda one: function(values.result(), *one), one) for one in arguments
    ]
    return lambda: [one.result() for one in futures]


@functools.cache
def _threads(process: int) -> ThreadPoolExecutor:
    """The threads of a process: one that was forked has none of its parent's."""
    return ThreadPoolExecutor(thread_name_prefix=f"boxes-{process}")


def finish(work: Turns[Result]) -> Result:
    """Let a function go on, whenever it yields, until it returns."""
    return take_turns([work])[0]


def take_turns(works: Sequence[Turns[Result]]) -> list[Result]:
    """Let functions go on one after the other, in their order, until all have returned."""
    results: list[Any] = [None] * len(works)
    waiting = dict(enumerate(works))
    while waiting:
        for place, work in list(waiting.items()):
            try:
                next(work)
            except StopIteration as end:
                results[place] = end.value
                del waiting[place]
    return results
