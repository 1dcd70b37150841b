"""Numpy arrays out of a pickle, without running anything that the pickle asks for.

A pickle is a program: it names functions and calls them. Here every name that arrays need leads to
a stand-in of ours that checks its arguments and only copies numbers; any other name is refused. Not
even numpy's constructors are reached, since their C code trusts the dtypes and sizes it is given.
"""

import contextlib
import functools
import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from acnet.errors import UnreadableFileError, UnsafeFileError

MAX_PICKLE_BYTES = 100_000_000  # in a torch file, whose numbers are beside it
_NUMERIC_CODES = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}


def load_pickle(path: str | os.PathLike) -> dict[str, Any]:
    """Read a dict of numpy arrays, in which a value may itself be such a dict.

    Pickles of Python 2 and 3, of protocols 0 to 5 and of numpy 1 and 2 are read. The arrays own
    their memory, in this machine's byte order.

    Raises:
        UnsafeFileError: the file asks for something else than arrays and plain containers.
        UnreadableFileError: it is cut short, damaged, or holds no dict.
    """
    try:
        file = io.BytesIO(Path(path).read_bytes())
        content = _RestrictedUnpickler(file, encoding="latin1").load()
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}, not a dict")
        return _unwrap(content, limit=4 * Path(path).stat().st_size)
    except _RefusedGlobalError as error:
        raise UnsafeFileError(
            "A .pkl file may hold only numpy arrays and plain containers, since anything else can "
            f"run code while it is read. Received {path}, which asks for {error}; convert it to "
            ".safetensors, where you trust it."
        ) from error
    except Exception as error:  # damaged bytes can raise anything
        raise UnreadableFileError(
            f"{path} is not a readable pickle of numpy arrays ({type(error).__name__}: {error}); "
            "download or copy it again."
        ) from error


def check_torch_keys(path: str | os.PathLike) -> None:
    """Refuse a torch file whose keys would take for ever to hash: torch's reader hashes them."""
    with Path(path).open("rb") as file:
        if not zipfile.is_zipfile(file):  # as torch wrote until 2020: five pickles, then numbers
            file.seek(0)
            with contextlib.suppress(EOFError):  # with fewer, torch says what is wrong
                for _ in range(5):
                    _TorchKeysUnpickler(file, encoding="latin1").load()
            return
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.endswith("data.pkl")]
            if len(names) != 1 or archive.getinfo(names[0]).file_size > MAX_PICKLE_BYTES:
                raise ValueError(f"it has {len(names)} pickles, or one of absurd size")
            pickled = io.BytesIO(archive.read(names[0]))
    _TorchKeysUnpickler(pickled, encoding="latin1").load()


def check_torch_bytes(path: str | os.PathLike) -> None:
    """Compare a torch file with its own checksums, which torch's reader does not look at.

    Raises:
        ValueError: A part of it is not as it was written.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        # Torch compresses nothing, and can be told to write no checksums.
        has_checksums = any(part.CRC for part in parts)
        if has_checksums and all(part.compress_type == zipfile.ZIP_STORED for part in parts):
            damaged = archive.testzip()
            if damaged is not None:
                raise ValueError(f"its part {damaged} is not as it was written")


class _RefusedGlobalError(pickle.UnpicklingError):
    """The pickle names something that is not on the list."""


class _Dtype:
    """Stands in for `numpy.dtype`: one of the numeric types, in either byte order."""

    value: np.dtype | None = None

    def __init__(self, code: str, align: bool = False, copy: bool = True):
        if code not in _NUMERIC_CODES:
            raise ValueError(f"dtype {code!r} is not numeric")
        self.value = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        _, byte_order, *_ = state  # the rest describes structures
        self.value = self.value.newbyteorder(byte_order)


class _Array:
    """Stands in for `numpy.ndarray`: empty when made, filled by its state."""

    value: np.ndarray | None = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, is_fortran, raw = state
        self.value = _build(raw, dtype, shape, "F" if is_fortran else "C")


def _reconstruct(kind: type, shape: tuple, code: bytes | str) -> _Array:
    if kind is not _Array:
        raise ValueError("only plain arrays are read")
    return _Array()


def _frombuffer(
    raw: bytes, dtype: _Dtype, shape: tuple, order: str, axis_order: tuple | None = None
) -> _Array:
    array = _Array()
    if order == "K" and axis_order is not None:
        array.value = _build(raw, dtype, shape, "C").transpose(axis_order)
    else:
        array.value = _build(raw, dtype, shape, order)
    return array


def _scalar(dtype: _Dtype, raw: bytes | str) -> float | int | bool:
    return _build(raw, dtype, (), "C").item()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise ValueError(f"bytes are written in latin1, not in {encoding!r}")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    return b""


def _with_simple_keys(container: type, content: Any = ()) -> Any:
    """Make a container, as `set`, `dict` and `OrderedDict` do from what they are given."""
    content = list(content.items()) if isinstance(content, dict) else list(content)
    is_mapping = issubclass(container, dict)
    _check_keys([pair[0] for pair in content] if is_mapping else content)
    return container(content)


def _check_keys(keys: Iterable[Any]) -> None:
    for key in keys:
        if not isinstance(key, str | bytes | int | float | None):
            raise ValueError(f"a {type(key).__name__} is a key, where texts and numbers may be")


def _build(raw: bytes | str, dtype: _Dtype, shape: tuple, order: str) -> np.ndarray:
    """Return a view of raw numbers, whose count must be right."""
    if not isinstance(dtype, _Dtype) or dtype.value is None:
        raise ValueError("an array without a dtype")
    if isinstance(raw, str):  # how Python 3 sees the bytes of Python 2
        raw = raw.encode("latin1")
    if any(type(length) is not int or length < 0 for length in shape):  # -1 means "the rest"
        raise ValueError(f"{shape} is no shape")
    return np.frombuffer(raw, dtype.value).reshape(shape, order=order)


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): functools.partial(_with_simple_keys, OrderedDict),
    **{
        (f"{core}.{module}", name): stand_in
        for core in ("numpy.core", "numpy._core")  # numpy 1 and 2
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _frombuffer),
        )
    },
    **{
        (module, kind.__name__): stand_in
        for module in ("builtins", "__builtin__")  # Python 3 and 2
        for kind, stand_in in {
            list: list,
            tuple: tuple,
            **{kind: functools.partial(_with_simple_keys, kind) for kind in (dict, frozenset, set)},
            bytes: _empty_bytes,  # how protocols 0 to 2 write the bytes of an empty array
        }.items()
    },
}


def _with_checked_keys(opcode: bytes, keys: slice) -> Callable[[pickle._Unpickler], None]:
    load = pickle._Unpickler.dispatch[opcode[0]]

    def load_checked(unpickler: pickle._Unpickler) -> None:
        _check_keys(unpickler.stack[keys])
        load(unpickler)

    return load_checked


_KEYS_ON_THE_STACK = {  # where they lie when an opcode comes
    pickle.SETITEM: slice(-2, -1),
    pickle.SETITEMS: slice(None, None, 2),
    pickle.DICT: slice(None, None, 2),
    pickle.ADDITEMS: slice(None),
    pickle.FROZENSET: slice(None),
}


class _SimpleKeysUnpickler(pickle._Unpickler):
    """Lets only texts and numbers be keys: a nested one takes for ever to hash, or the stack's end.

    The base is pickle's reader in Python: its twin in C reserves memory for any index that a file
    mentions, so that four damaged bytes can claim 32 GiB. There is little to do for each array.
    """

    dispatch: ClassVar[dict] = pickle._Unpickler.dispatch | {
        opcode[0]: _with_checked_keys(opcode, keys) for opcode, keys in _KEYS_ON_THE_STACK.items()
    }


class _RestrictedUnpickler(_SimpleKeysUnpickler):
    """Looks names up in the list above instead of importing them."""

    dispatch: ClassVar[dict] = dict(_SimpleKeysUnpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _RefusedGlobalError(f"{module}.{name}") from None

    def load_build(self) -> None:
        """Give a state to what may have one, and never to a stand-in itself."""
        if not isinstance(self.stack[-2], _Array | _Dtype | OrderedDict):
            raise ValueError("a state for something that has none")
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


class _Inert:
    """Stands in for everything that a torch file names, where only its keys are looked at."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "_Inert":
        return super().__new__(cls)

    def append(self, *values: Any) -> None:
        """Take what would be added, and forget it."""

    extend = add = __setitem__ = append


class _TorchKeysUnpickler(_SimpleKeysUnpickler):
    """Makes nothing of a torch file, which torch's own safe reader reads afterwards."""

    dispatch: ClassVar[dict] = dict(_SimpleKeysUnpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        return _Inert

    def persistent_load(self, pid: Any) -> Any:
        return _Inert()

    def load_build(self) -> None:
        self.stack.pop()

    dispatch[pickle.BUILD[0]] = load_build


def _unwrap(content: dict, limit: int, depth: int = 2) -> dict:
    """Copy arrays out of their stand-ins, in a dict and in the dicts inside it.

    All together may have four times the bytes of the file: many arrays may share one piece of it.
    """
    unwrapped = {}
    for key, value in content.items():
        if isinstance(value, _Array):
            if value.value is None:
                raise ValueError(f"the array {key!r} was never filled")
            value = value.value.astype(value.value.dtype.newbyteorder("="))
            limit -= value.nbytes
            if limit < 0:
                raise ValueError("its arrays are larger than the file")
        elif isinstance(value, dict) and depth > 1:
            value = _unwrap(value, limit, depth - 1)
            limit -= sum(one.nbytes for one in value.values() if isinstance(one, np.ndarray))
        unwrapped[key] = value
    return unwrapped
