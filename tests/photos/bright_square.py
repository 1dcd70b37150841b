"""A predictor without a network: it finds the bright squares of dark photos."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from acnet.photos.draw import DrawingOptions
from acnet.photos.folder import Outcome, predict_folder
from acnet.photos.grid import PhotoSizing
from acnet.photos.merge import TileDetections
from acnet.photos.results import CountRule
from acnet.photos.sources import find_photos
from tests.photos.samples import detections

SQUARE_XYXY = (8, 4, 16, 12)  # of `photo`: left of the middle and above it, so each turn shows
SIZE_WH = (48, 32)


class BrightSquare:
    """Finds the box around all bright pixels, as a `Predictor` would.

    Args:
        before: Called with each photo before it is answered.
        identity: Of its weights and options.
        threshold: From which a box counts.
    """

    class_names = ("acne",)
    merge_name = "nms"
    has_saliency = True
    sizing = PhotoSizing()

    def __init__(
        self,
        before: Callable[[np.ndarray], None] | None = None,
        *,
        identity: str = "these weights",
        threshold: float = 0.5,
    ):
        self.calls = 0
        self.identity = identity
        self.rule = CountRule(threshold=threshold)
        self._before = before

    def detect(self, photo_bgr: np.ndarray, *, progress=None) -> TileDetections:
        self.calls += 1
        if self._before is not None:
            self._before(photo_bgr)
        rows, columns = np.nonzero(photo_bgr.mean(axis=2) > 160)
        if progress is not None:
            progress(1, 1)
        if not len(rows):
            return detections([])
        box_xyxy = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return detections([(0, 0.75, box_xyxy)])

    def saliency(self, photo_bgr: np.ndarray, *, photo_size_px=None) -> np.ndarray:
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


def frame_boxes(photo_rgb, boxes_xyxy, labels) -> np.ndarray:
    """Draw boxes in no time."""
    picture = photo_rgb.copy()
    for left, top, right, bottom in boxes_xyxy.astype(int):
        picture[top:bottom, left:right, 2] = 255
    return picture


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files but records, and those that tell seconds, which differ."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".parts" not in path.parts)
    timed = ("counts.csv", "index.html")
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in files if path.name not in timed
    }


def predict(photos: Path, output: Path, predictor=None, **options) -> Outcome | None:
    """Predict a folder of photos into another, drawing what is quick to draw."""
    arguments = {"drawing": DrawingOptions(share=True), "draw_boxes": frame_boxes, **options}
    return predict_folder(predictor or BrightSquare(), find_photos([photos]), output, **arguments)
