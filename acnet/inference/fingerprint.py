"""What decides a result, as one short text: equal texts promise equal results."""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.config import CfgNode
from omegaconf import DictConfig, OmegaConf

import acnet
from acnet.inference.predictor import Predictor
from acnet.inference.sources import Source

DECIDING_PACKAGES = ("numpy", "opencv-python-headless", "pillow", "torch", "torchvision")
# Of a config: training has no say in what a finished model finds.
DECIDING_KEYS = ("model", "dataloader.test.mapper", "train.amp", "train.channels_last")
ENDS_BYTES = 1 << 16


def digest(content: Any) -> str:
    """Return a hash of numbers, texts, and lists and mappings of them.

    Args:
        content: What `json` takes, and classes and functions, which stand for their names.

    Returns:
        32 hexadecimal digits.
    """
    text = json.dumps(content, sort_keys=True, default=_name)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def photo_digest(source: Source) -> str:
    """Return a hash that changes when a photo changes, without reading large photos whole.

    Args:
        source: The photo; it need not be readable.

    Returns:
        A hash of its name, size, time of change, and its first and last 64 KiB.
    """
    try:
        status = source.path.stat()
        with source.path.open("rb") as file:
            first = file.read(ENDS_BYTES)
            file.seek(max(0, status.st_size - ENDS_BYTES))
            ends = hashlib.sha256(first + file.read(ENDS_BYTES)).hexdigest()
    except OSError as error:
        return digest([source.stem, error.errno])
    return digest([source.stem, status.st_size, status.st_mtime_ns, ends])


def config_digest(cfg: DictConfig) -> str:
    """Return a hash of the parts of a config that decide what a trained model finds."""
    chosen = (OmegaConf.select(cfg, key) for key in DECIDING_KEYS)
    plain = [
        OmegaConf.to_container(part, resolve=True) if OmegaConf.is_config(part) else part
        for part in chosen
    ]
    return digest(plain)


def predictor_digest(predictor: Predictor, config: DictConfig | CfgNode) -> str:
    """Return a hash of what decides a predictor's answers besides its weights.

    Args:
        predictor: The model with its options.
        config: That it was made with.
    """
    return digest(
        [
            config.dump() if isinstance(config, CfgNode) else config_digest(config),
            dataclasses.asdict(predictor.tiling),
            dataclasses.asdict(predictor.merge),
            predictor.device.type,
            str(predictor.precision.dtype),
            dataclasses.asdict(predictor.optimizations),
        ]
    )


def versions(packages: Sequence[str] = DECIDING_PACKAGES) -> Mapping[str, str]:
    """Return the versions of acnet and of the packages that compute; "" for what pip didn't bring.

    Args:
        packages: Their names on the package index.
    """
    found = {"acnet": acnet.__version__}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = ""
    return found


def _name(value: Any) -> str:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)
