"""A data set in memory whose pictures are on disk, for what no format of its own can express."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from acnet.data.readers.source import Source
from acnet.data.records import Annotated
from acnet.data.toy.toy_photo import ToyOptions, draw_photo


@dataclass(frozen=True, kw_only=True)
class FakeSource(Source):
    format: str = "fake"
    class_names: tuple[str, ...] = ("acne",)
    annotations: Mapping[str, Annotated]

    def read(self, file_name: str) -> Annotated:
        if file_name not in self.annotations:
            raise FileNotFoundError(file_name)
        self.read_size(file_name)
        return self.annotations[file_name]


def annotated(name: str = "a.jpg", boxes=(), **fields) -> Annotated:
    """A photo of 64 x 96 pixels (width 96) whose objects are all `acne`, unless said otherwise."""
    boxes_xyxy = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    fields = {"image_hw": (64, 96), "names": ("acne",) * len(boxes_xyxy), **fields}
    return Annotated(file_name=name, boxes_xyxy=boxes_xyxy, **fields)


def save_toy_photo(path: Path, index: int) -> None:
    """A generated photo of 64 x 96 pixels."""
    photo = draw_photo(ToyOptions(seed=5, sizes_px=(96,), lesion_px=(5.0, 16.0)), index)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), photo.image_bgr[:64])
