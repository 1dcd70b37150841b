"""Where a number comes from: machine, versions and source. Kept, and compared by nobody."""

import hashlib
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import detectron2
import torch

import acnet
from acnet.data.parallel import default_workers

# What decides a training and its measurement.
SOURCES = ("checkpoint", "data/tiles/mapper.py", "engine", "evaluation", "layers", "modeling")


def machine() -> dict[str, Any]:
    """Describe the machine: processor, cores, GPU, threads of this process."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": _processor(),
        "cores": default_workers(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def versions() -> Mapping[str, str]:
    """Return the versions of what computes."""
    return {
        "acnet": acnet.__version__,
        "detectron2": detectron2.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def source_digest() -> str:
    """Hash the source of what decides a training.

    Returns:
        16 hexadecimal digits.
    """
    root = Path(acnet.__file__).parent
    digest = hashlib.sha256()
    for name in SOURCES:
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
