"""Compile loops over boxes for the CPU, once for all processes of a machine."""

import functools
import logging
from collections.abc import Callable
from typing import TypeVar

__all__ = ["compiled"]

logger = logging.getLogger(__name__)
Function = TypeVar("Function", bound=Callable)

# Division by zero gives inf or NaN as in torch, and other threads run meanwhile. No `fastmath`:
# it would let the compiler change results.
_OPTIONS = {"nogil": True, "error_model": "numpy"}


def compiled(function: Function) -> Function:
    """Compile a function of arrays and numbers at its first call.

    The compiler, numba, takes half a second to import, so it is imported at that call as well. The
    machine code is kept beside the source, else in the user's cache folder (`NUMBA_CACHE_DIR`
    overrides both), so that only the first process pays for it.

    Args:
        function: written for numba, in one piece: it calls no other function of ours.
    """

    @functools.cache
    def machine_code() -> Callable:
        import numba

        try:
            return numba.njit(function, cache=True, **_OPTIONS)
        except RuntimeError as error:  # "cannot cache function": no folder of these can be written
            logger.warning(
                "%s is compiled anew in each process, which takes seconds: %s. Set NUMBA_CACHE_DIR "
                "to a folder that can be written.",
                function.__name__,
                error,
            )
            return numba.njit(function, **_OPTIONS)

    @functools.wraps(function)
    def call(*arguments: object) -> object:
        return machine_code()(*arguments)

    return call
