"""What the tests of `acnet predict` share."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from acnet.cli.main import main

CONFIG = "toy/acnet_r18"
SECRET = "/home/secret-user/runs"  # where the weights were trained


def save_noise(path: Path, height: int, width: int, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)


def predict(*arguments) -> int:
    return main(["predict", *map(str, arguments)])


def read_counts(folder: Path) -> list[dict[str, str]]:
    with (folder / "counts.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files_below(folder: Path) -> list[str]:
    """Return the files that a user sees, without the work folder."""
    names = (str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in names if not name.startswith("."))
