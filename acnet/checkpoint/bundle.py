"""Weights together with all that they mean something by: one safetensors file.

The tensors are the model's state dict. Everything else is text in the file's metadata, which
safetensors keeps in front and which can be read without a single tensor:

  format       "acnet bundle", and `version`
  config       yaml of the model and of what prediction needs
  classes      JSON list of names, by class index
  count_model  JSON as `acnet calibrate` writes it; absent where counts were not fitted
  card         Markdown for people: what it is, from which data, under which licence

So weights and config cannot be mismatched, and nothing in the file can run code.
"""

import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from omegaconf import DictConfig
from safetensors.torch import save_file

from acnet.errors import UserError
from acnet.evaluation.count_model import CountModel, parse_count_model
from acnet.files import atomic_write
from acnet.safe_config import parse_saved_config

FORMAT = "acnet bundle"
VERSION = "1"
SUFFIX = ".safetensors"
LENGTH_BYTES = 8  # in front of the header


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What a bundle says about its tensors.

    Args:
        config: Yaml of the model and of what prediction needs.
        class_names: By class index.
        count_model: That was fitted to this model, or None.
        card: Markdown for people.
    """

    config: str
    class_names: tuple[str, ...]
    count_model: CountModel | None
    card: str


def write_bundle(path: Path, state: Mapping[str, torch.Tensor], bundle: Bundle) -> None:
    """Write a bundle, whole or not at all; equal content gives equal bytes.

    Args:
        path: Of the file, ending in .safetensors.
        state: The model's tensors.
        bundle: What belongs to them.

    Raises:
        UserError: The path ends in something else.
    """
    check_suffix(path)
    texts = {
        "format": FORMAT,
        "version": VERSION,
        "config": bundle.config,
        "classes": json.dumps(bundle.class_names, ensure_ascii=False),
        "card": bundle.card,
    }
    if bundle.count_model is not None:
        texts["count_model"] = bundle.count_model.to_json()
    tensors = {name: state[name].detach().cpu().contiguous().clone() for name in sorted(state)}
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata=texts)
        _sort_header(temporary)


def check_suffix(path: Path) -> None:
    """Refuse a path that would not be recognized as a bundle."""
    if path.suffix != SUFFIX:
        raise UserError(
            f"A bundle is a safetensors file, and is known by its ending. Received {path}; "
            f"name it {path.with_suffix(SUFFIX).name}."
        )


def is_bundle(path: str | os.PathLike) -> bool:
    """Tell whether a file is a bundle, of any version; damaged files are none."""
    return _metadata(Path(path)).get("format") == FORMAT if Path(path).suffix == SUFFIX else False


def read_bundle(path: str | os.PathLike) -> Bundle:
    """Read what a bundle says, without its tensors.

    Args:
        path: Of the file.

    Returns:
        Its texts, checked.

    Raises:
        UserError: It is no bundle, of another version, or incomplete.
    """
    path = Path(path)
    texts = _metadata(path)
    if texts.get("format") != FORMAT:
        raise _unusable(path, "which holds no config")
    if texts.get("version") != VERSION:
        raise _unusable(path, f"of version {texts.get('version')!r}, where {VERSION} is known")
    missing = {"config", "classes", "card"} - texts.keys()
    if missing:
        raise _unusable(path, f"without {', '.join(sorted(missing))}")
    count_model = texts.get("count_model")
    return Bundle(
        config=texts["config"],
        class_names=_class_names(path, texts["classes"]),
        count_model=parse_count_model(count_model, source=str(path)) if count_model else None,
        card=texts["card"],
    )


def bundle_config(path: str | os.PathLike) -> DictConfig:
    """Return a bundle's config, read as safely as a saved one.

    Raises:
        UserError: As `read_bundle`, or the config builds what is no part of a detector.
    """
    bundle = read_bundle(path)
    cfg = parse_saved_config(bundle.config, source=str(path))
    cfg.class_names = list(bundle.class_names)
    return cfg


def tensor_summary(path: str | os.PathLike) -> dict[str, int]:
    """Return how many numbers of each type a safetensors file holds, by the type's name."""
    numbers: dict[str, int] = {}
    with safetensors.safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - not a dict
            part = file.get_slice(name)
            kind = str(part.get_dtype())
            numbers[kind] = numbers.get(kind, 0) + math.prod(part.get_shape())
    return dict(sorted(numbers.items()))


def _sort_header(path: Path) -> None:
    """Bring the header, a JSON in safetensors' changing order, into a fixed one of equal length."""
    with path.open("r+b") as file:
        (length,) = struct.unpack("<Q", file.read(LENGTH_BYTES))
        header = json.loads(file.read(length))
        text = json.dumps(header, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        file.seek(LENGTH_BYTES)
        file.write(text.encode().ljust(length))


def _metadata(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise UserError(
            f"A bundle is a file. Received {path}, where there is none; check its spelling."
        )
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"A bundle is a safetensors file, made by `acnet weights pack`. Received {path}, "
            f"which cannot be read ({error}); download or copy it again."
        ) from error


def _class_names(path: Path, text: str) -> tuple[str, ...]:
    try:
        names: Any = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _unusable(path, f"whose classes are {text[:40]!r}")
    return tuple(names)


def _unusable(path: Path, fault: str) -> UserError:
    return UserError(
        "A bundle holds weights with their config, so that the two always fit. Received "
        f"{path}, {fault}; make it by `acnet weights pack RUN_DIR FILE.safetensors`."
    )
