"""A weights file of any format to one layout, reading numbers and never running code.

A pickle is a program: it names functions and calls them. Here every name that numpy's arrays need
leads to a stand-in of ours that checks its arguments and only copies numbers; any other name is
refused. Not even numpy's constructors are reached, since their C code trusts the dtypes and sizes
it is given.
"""

import http.client
import io
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import safetensors
import torch
from iopath.common.file_io import PathManager

from acnet.errors import UnreadableFileError, UnsafeFileError

_NUMERIC_CODES = frozenset(
    f"{kind}{size}"
    for kind, sizes in {"b": "1", "i": "1248", "u": "1248", "f": "248"}.items()
    for size in sizes
)


def fetch(path: str, path_manager: PathManager) -> str:
    """Brings a weights file to this machine, if it is not here yet.

    Args:
        path: a file, or an address that `path_manager` knows, such as `detectron2://...`.
        path_manager: detectron2's PathManager, as a rule.

    Returns:
        A local path.

    Raises:
        UnreadableFileError: no such file, or the download failed.
    """
    try:
        local = path_manager.get_local_path(path)
    except (OSError, http.client.HTTPException) as error:
        raise UnreadableFileError(
            f"Weights could not be downloaded. Received {path} ({type(error).__name__}: {error}); "
            "download the file by hand and give its path in train.init_checkpoint=."
        ) from error
    if not Path(local).is_file():
        raise UnreadableFileError(
            f"Weights are read from a file. Received {path}, where there is none; "
            "give the path of a weights file in train.init_checkpoint=."
        )
    return local


def read_checkpoint(path: str | os.PathLike, *, mmap: bool = False) -> dict[str, Any]:
    """Reads a checkpoint by its suffix: `.pkl`, `.safetensors`, and torch's format for the rest.

    Args:
        path: a local file.
        mmap: leave the tensors of a torch file on the disk until they are used.

    Returns:
        "model": names to tensors, in host memory; beside it whatever else the file holds, such as
        "optimizer", "iteration" or "__author__".

    Raises:
        UnsafeFileError: reading it would need code to run.
        UnreadableFileError: it is damaged, or is not a weights file.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".pkl":
        content = load_pickle(path)
    elif suffix == ".safetensors":
        content = _read_safetensors(path)
    else:
        content = read_torch(path, mmap=mmap)
    return _with_model(content, path)


def read_torch(path: str | os.PathLike, *, mmap: bool = False) -> Any:
    """Reads what `torch.save` wrote, tensors and plain containers only.

    Args:
        path: a local file.
        mmap: leave the tensors on the disk until they are used.

    Returns:
        The content, with its tensors in host memory.

    Raises:
        UnsafeFileError: it holds, or asks for, anything else.
        UnreadableFileError: it is damaged, or is not a torch file.
    """

    def load() -> Any:
        return torch.load(path, map_location=torch.device("cpu"), weights_only=True, mmap=mmap)

    return _reading(path, load)


def _read_safetensors(path: str | os.PathLike) -> dict[str, Any]:
    def load() -> dict[str, Any]:
        with safetensors.safe_open(path, framework="pt") as file:
            names = file.keys()  # not a dict: it cannot be looped over
            content: dict[str, Any] = {"model": {name: file.get_tensor(name) for name in names}}
            author = (file.metadata() or {}).get("__author__")
        return content if author is None else {**content, "__author__": author}

    return _reading(path, load)


def _reading(path: str | os.PathLike, load: Callable[[], Any]) -> Any:
    """Runs a reader; what it raises becomes an error that names the file and the remedy."""
    try:
        return load()
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        what = f"asks for {refused[1]}" if refused else "holds something else, or is damaged"
        raise UnsafeFileError(
            "A checkpoint may hold only tensors, numbers, strings and plain containers, since "
            f"anything else can run code while it is read. Received {path}, which {what}; save "
            "its state dict alone, as tensors, where you trust it."
        ) from error
    except Exception as error:  # damaged bytes can raise anything
        reason = (str(error).splitlines() or [""])[0]
        raise UnreadableFileError(
            f"{path} is not a readable weights file ({type(error).__name__}: {reason}); "
            "download or copy it again."
        ) from error


def _with_model(content: Any, path: str | os.PathLike) -> dict[str, Any]:
    """The layout of detectron2's checkpoints, from the layouts that are in use."""
    if not isinstance(content, dict):
        raise UnreadableFileError(
            f"A weights file maps names to tensors. Received {path}, which holds a "
            f"{type(content).__name__}; save a state dict."
        )
    if isinstance(content.get("model"), dict):
        checkpoint = dict(content)
    elif isinstance(content.get("blobs"), dict):  # a Caffe2 detector, with its optimizer's momentum
        blobs = content["blobs"].items()
        checkpoint = {"model": {k: v for k, v in blobs if not str(k).endswith("_momentum")}}
    elif isinstance(content.get("state_dict"), dict):  # PyTorch's ImageNet example
        checkpoint = {"model": content["state_dict"]}
    else:
        checkpoint = {"model": content}
    model = checkpoint["model"]
    for name in list(model):  # in place: a state dict also carries its modules' versions
        model[name] = _as_tensor(model[name], name, path)
    return checkpoint


def _as_tensor(value: Any, name: Any, path: str | os.PathLike) -> torch.Tensor:
    if isinstance(name, str) and isinstance(value, np.ndarray | torch.Tensor):
        return torch.as_tensor(value)
    raise UnreadableFileError(
        f"A weights file maps names to tensors. Received {path}, where {name!r} is a "
        f"{type(value).__name__}; save a state dict."
    )


def load_pickle(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a dict of numpy arrays, in which a value may itself be such a dict.

    Pickles of Python 2 and 3, of protocols 0 to 5 and of numpy 1 and 2 are read.

    Args:
        path: a local file.

    Returns:
        The dict, with arrays that own their memory, in this machine's byte order.

    Raises:
        UnsafeFileError: the file asks for something else than arrays and plain containers.
        UnreadableFileError: it is cut short, damaged, or holds no dict.
    """
    try:
        file = io.BytesIO(Path(path).read_bytes())
        content = _RestrictedUnpickler(file, encoding="latin1").load()
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}, not a dict")
        return _unwrap(content)
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


def _build(raw: bytes | str, dtype: _Dtype, shape: tuple, order: str) -> np.ndarray:
    """A native copy of raw numbers, whose count must be right."""
    if not isinstance(dtype, _Dtype) or dtype.value is None:
        raise ValueError("an array without a dtype")
    if isinstance(raw, str):  # how Python 3 sees the bytes of Python 2
        raw = raw.encode("latin1")
    if any(type(length) is not int or length < 0 for length in shape):  # -1 means "the rest"
        raise ValueError(f"{shape} is no shape")
    array = np.frombuffer(raw, dtype.value).reshape(shape, order=order)
    return array.astype(dtype.value.newbyteorder("="))


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
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
        (module, container.__name__): container
        for module in ("builtins", "__builtin__")  # Python 3 and 2
        for container in (dict, frozenset, list, set, tuple)
    },
    ("builtins", "bytes"): _empty_bytes,  # how protocols 0 to 2 write the bytes of an empty array
    ("__builtin__", "bytes"): _empty_bytes,
}


class _RestrictedUnpickler(pickle._Unpickler):
    """Looks names up in the list above instead of importing them.

    The base is pickle's reader in Python: its twin in C reserves memory for any index that a file
    mentions, so that four damaged bytes can claim 32 GiB. There is little to do for each array.
    """

    dispatch: ClassVar[dict] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _RefusedGlobalError(f"{module}.{name}") from None

    def load_build(self) -> None:
        """Gives a state to what may have one, and never to a stand-in itself."""
        if not isinstance(self.stack[-2], _Array | _Dtype | OrderedDict):
            raise ValueError("a state for something that has none")
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def _unwrap(content: dict, depth: int = 2) -> dict:
    """Arrays in place of their stand-ins, in a dict and in the dicts inside it."""
    unwrapped = {}
    for key, value in content.items():
        if isinstance(value, _Array):
            if value.value is None:
                raise ValueError(f"the array {key!r} was never filled")
            value = value.value
        elif isinstance(value, dict) and depth > 1:
            value = _unwrap(value, depth - 1)
        unwrapped[key] = value
    return unwrapped
