"""A weights file of any format to one layout; reading gives numbers, and never runs code."""

import http.client
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from detectron2.utils.file_io import PathManager
from iopath.common.file_io import PathManager as AnyPathManager

from acnet.errors import UnreadableFileError, UnsafeFileError


def fetch(path: str, path_manager: AnyPathManager = PathManager) -> str:
    """Return the local path of a weights file; an address (`detectron2://...`) is downloaded once.

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
    """Read a checkpoint by its suffix: `.pkl`, `.safetensors`, and torch's format for the rest.

    `mmap` leaves the tensors of a torch file on the disk until they are used.

    Returns:
        "model": names to tensors, in host memory; beside it whatever else the file holds, such as
        "optimizer", "iteration" or "__author__".

    Raises:
        UnsafeFileError: reading it would need code to run.
        UnreadableFileError: it is damaged, or is not a weights file.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".onnx":
        raise UnreadableFileError(
            "An exported file is for predictions, and holds no weights by name. Received "
            f"{path}; give the checkpoint or bundle that it was made of."
        )
    if suffix == ".pkl":
        from .restricted_pickle import load_pickle

        content = load_pickle(path)
    elif suffix == ".safetensors":
        content = _read_safetensors(path)
    else:
        content = read_torch(path, mmap=mmap)
    return _with_model(content, path)


def read_torch(path: str | os.PathLike, *, mmap: bool = False) -> Any:
    """Read what `torch.save` wrote, tensors and plain containers only, into host memory.

    Arguments and errors are those of `read_checkpoint`.
    """
    from .restricted_pickle import check_torch_bytes, check_torch_keys

    def load() -> Any:
        check_torch_keys(path)
        check_torch_bytes(path)
        return torch.load(path, map_location=torch.device("cpu"), weights_only=True, mmap=mmap)

    return _reading(path, load)


def _read_safetensors(path: str | os.PathLike) -> dict[str, Any]:
    from .bundle import check_sha256

    def load() -> dict[str, Any]:
        check_sha256(path)
        with safetensors.safe_open(path, framework="pt") as file:
            names = file.keys()  # not a dict: it cannot be looped over
            content: dict[str, Any] = {"model": {name: file.get_tensor(name) for name in names}}
            author = (file.metadata() or {}).get("__author__")
        return content if author is None else {**content, "__author__": author}

    return _reading(path, load)


def _reading(path: str | os.PathLike, load: Callable[[], Any]) -> Any:
    """Run a reader; what it raises becomes an error that names the file and the remedy."""
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
    """Return the layout of detectron2's checkpoints, from the layouts that are in use."""
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
    for name, value in model.items():
        if not (isinstance(name, str) and isinstance(value, np.ndarray | torch.Tensor)):
            raise UnreadableFileError(
                f"A weights file maps names to tensors. Received {path}, where {name!r} is a "
                f"{type(value).__name__}; save a state dict."
            )
        model[name] = torch.as_tensor(value)  # in place: a state dict has its modules' versions
    return checkpoint
