"""One photo becomes a file of results: read, predicted, drawn, written; or its failure is kept."""

import dataclasses
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from acnet.errors import UserError
from acnet.photos.count import CountRule
from acnet.photos.draw import DrawBoxes, DrawingOptions, write_pictures
from acnet.photos.grid import Progress
from acnet.photos.merge import TileDetections
from acnet.photos.read import read_photo
from acnet.photos.results import Part, PartStore, arrays_of, digest, rows_of
from acnet.photos.sources import Source

logger = logging.getLogger(__name__)

DRAWING_VERSION = 1  # raise it when pictures change their look


class Detector(Protocol):
    """What finds lesions in whole photos: `acnet.inference.predictor.Predictor`, or a like one.

    Attributes:
        class_names: By class index.
        rule: Which detections count.
        merge_name: What merges the tiles of a photo.
        identity: Hash of weights, config and whatever else decides what is found.
        has_saliency: Whether there is a mask attention to look at.
    """

    class_names: Sequence[str]
    rule: CountRule
    merge_name: str
    identity: str
    has_saliency: bool

    def detect(self, photo_bgr: np.ndarray, *, progress: Progress | None = None) -> TileDetections:
        """Find the lesions of a photo, best first."""

    def saliency(self, photo_bgr: np.ndarray) -> np.ndarray:
        """Show where the mask attention expects lesions, in [0, 1] over the whole photo."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A photo to be done.

    Args:
        image_id: From 1, in the order of the photos.
        source: Where it is and what it is called.
        key: Of its file.
    """

    image_id: int
    source: Source
    key: str


class PhotoWorker:
    """Turns single photos into files: read, predicted, drawn, written; or keeps why it cannot."""

    def __init__(
        self,
        detector: Detector,
        store: PartStore,
        drawing: DrawingOptions,
        draw_boxes: DrawBoxes,
        *,
        max_megapixels: float,
    ):
        self._detector = detector
        self._store = store
        self._drawing = drawing
        self._draw_boxes = draw_boxes
        self._max_megapixels = max_megapixels
        options = [dataclasses.asdict(drawing), detector.rule.threshold]
        self._drawn = digest([DRAWING_VERSION, options])

    def is_done(self, job: Job) -> bool:
        """Tell whether a photo has its file, or cannot be read."""
        return self._store.has(job.key, self._drawn) or bool(self._store.read_failure(job.key))

    def do(self, job: Job, progress: Progress) -> None:
        """Make a photo's file, or keep why it cannot be made."""
        start = time.perf_counter()
        try:
            photo_bgr = read_photo(job.source.path, max_megapixels=self._max_megapixels)
        except (UserError, OSError) as error:
            self._fail(job, error)
            return
        part = self._store.read(job.key)
        if part is None:
            try:
                found = self._detector.detect(photo_bgr, progress=progress)
            except (MemoryError, RuntimeError) as error:
                # Torch's own error of that name is a RuntimeError.
                if not isinstance(error, MemoryError) and "OutOfMemory" not in type(error).__name__:
                    raise
                self._fail(job, error)
                return
            part = Part(
                image_hw=photo_bgr.shape[:2],
                rows=rows_of(found.boxes_xyxy, found.scores, found.classes),
                seconds=time.perf_counter() - start,
            )
        self._store.write(job.key, self._draw(job, photo_bgr, part))

    def _draw(self, job: Job, photo_bgr: np.ndarray, part: Part) -> Part:
        saliency = self._detector.saliency(photo_bgr) if self._drawing.attention else None
        files = write_pictures(
            self._store.output,
            job.source.stem,
            photo_bgr,
            *arrays_of(part.rows),
            options=self._drawing,
            score_threshold=self._detector.rule.threshold,
            class_names=self._detector.class_names,
            draw_boxes=self._draw_boxes,
            saliency=saliency,
        )
        return dataclasses.replace(part, drawn=self._drawn, files=files)

    def _fail(self, job: Job, error: Exception) -> None:
        reason = _without_folders(f"{error}" or type(error).__name__, job.source)
        logger.warning("%s is left out: %s", job.source.path, reason)
        self._store.write_failure(job.key, reason)


def _without_folders(text: str, source: Source) -> str:
    """Call a photo by its name in the outputs where an error calls it by path or file name."""
    places = {str(source.path), str(source.path.absolute()), str(source.path.resolve())}
    for place in sorted(places, key=len, reverse=True):
        text = text.replace(place, source.name)
    folders = {str(source.path.absolute().parent), str(source.path.resolve().parent)}
    for folder in sorted(folders, key=len, reverse=True):
        text = text.replace(folder, "...") if folder != "/" else text
    if source.path.name not in source.name:
        bare = rf"(?<![\w.-]){re.escape(source.path.name)}(?![\w-])"
        text = re.sub(bare, lambda _: source.name, text)
    return text
