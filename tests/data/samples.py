"""Small data sets for the tests of acnet.data."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from acnet.data.toy.toy_photo import ToyOptions

TOY_OPTIONS = ToyOptions(seed=3, sizes_px=(96, 128), lesion_px=(6.0, 24.0))
TOY_COUNT = 10


def annotation_xml(objects: Sequence[tuple[str, Sequence[object]]], size: str = "") -> str:
    """An annotation file of (name, VOC corners) pairs."""
    body = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for name, box in objects
    )
    return f"<annotation>{size}{body}</annotation>"


def write_photo(path: Path, image_hw: tuple[int, int]) -> None:
    """A picture whose pixels tell their place: blue rises with x, green with y."""
    height, width = image_hw
    y, x = np.mgrid[:height, :width]
    image = np.stack([x % 256, y % 256, np.full_like(x, 90)], axis=-1).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def write_archives(src: Path, photos: Mapping[str, tuple[tuple[int, int], str]]) -> Path:
    """ACNE04's two archives with one fold: the first photo is tested, the others trained on.

    Every photo is (image_hw, XML text).
    """
    annotations = src / "Detection" / "VOC2007" / "Annotations"
    annotations.mkdir(parents=True)
    for name, (image_hw, xml) in photos.items():
        write_photo(src / "Classification" / "JPEGImages" / name, image_hw)
        (annotations / f"{Path(name).stem}.xml").write_text(xml)
    first, *others = photos
    for split, names in {"test": [first], "trainval": others}.items():
        lines = [f"{name}  0  1\n" for name in names]
        (src / "Classification" / f"NNEW_{split}_0.txt").write_text("".join(lines))
    return src
