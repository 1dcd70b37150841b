"""A predictor without a network: it finds the bright squares of dark photos."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from detectron2.structures import Boxes, Instances
from PIL import Image

from acnet.inference.counts import CountRule
from acnet.inference.folder import Outcome, predict_folder
from acnet.inference.pictures import DrawingOptions
from acnet.inference.sources import find_photos

SQUARE_XYXY = (8, 4, 16, 12)  # of `photo`: left of the middle and above it, so each turn shows
SIZE_WH = (48, 32)


class BrightSquare:
    """Finds the box around all bright pixels, as a `Predictor` would.

    Args:
        before: Called with each photo before it is answered.
    """

    class_names = ("acne",)
    merge_name = "nms"
    has_saliency = True

    def __init__(self, before: Callable[[np.ndarray], None] | None = None):
        self.calls = 0
        self._before = before

    def __call__(self, photo_bgr: np.ndarray, *, progress=None) -> Instances:
        self.calls += 1
        if self._before is not None:
            self._before(photo_bgr)
        found = Instances(photo_bgr.shape[:2])
        rows, columns = np.nonzero(photo_bgr.mean(axis=2) > 160)
        boxes = (
            [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]] if len(rows) else []
        )
        found.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        found.scores = torch.full((len(boxes),), 0.75)
        found.pred_classes = torch.zeros(len(boxes), dtype=torch.int64)
        if progress is not None:
            progress(1, 1)
        return found

    def saliency(self, photo_bgr: np.ndarray) -> np.ndarray:
        return (photo_bgr.mean(axis=2) > 160).astype(np.float32)


def photo(*, size_wh: tuple[int, int] = SIZE_WH) -> Image.Image:
    """Return a dark grey photo with a white square at SQUARE_XYXY."""
    image = Image.new("RGB", size_wh, (40, 40, 40))
    image.paste((255, 255, 255), SQUARE_XYXY)
    return image


def make_photos(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        photo().save(folder / name)
    return folder


def predict(photos: Path, output: Path, predictor=None, **options) -> Outcome | None:
    """Predict a folder of photos into another, drawing what is quick to draw."""
    drawing = options.pop("drawing", DrawingOptions(share=True))
    arguments = {"rule": CountRule(threshold=0.5), "deciding": "these weights", **options}
    return predict_folder(
        predictor or BrightSquare(), find_photos([photos]), output, drawing=drawing, **arguments
    )
