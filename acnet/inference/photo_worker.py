"""One photo becomes a part: read, predicted, drawn, written; or its failure is kept."""

import dataclasses
import logging
import time
from dataclasses import dataclass

import numpy as np
import torch

from acnet.errors import UserError
from acnet.inference.fingerprint import digest
from acnet.inference.parts import Part, PartStore
from acnet.inference.photos import read_photo
from acnet.inference.pictures import DrawingOptions, write_pictures
from acnet.inference.predictor import Predictor
from acnet.inference.results import rows_of
from acnet.inference.sources import Source
from acnet.inference.tiling import Progress

logger = logging.getLogger(__name__)

DRAWING_VERSION = 1  # raise it when pictures change their look


@dataclass(frozen=True, kw_only=True)
class Job:
    """A photo to be done.

    Args:
        image_id: From 1, in the order of the photos.
        source: Where it is and what it is called.
        key: Of its part.
    """

    image_id: int
    source: Source
    key: str


class PhotoWorker:
    """Turns single photos into parts.

    Args:
        predictor: The model.
        store: For the parts.
        options: About the pictures.
        max_megapixels: Larger photos are refused.
    """

    def __init__(
        self,
        predictor: Predictor,
        store: PartStore,
        options: DrawingOptions,
        *,
        max_megapixels: float,
    ):
        self._predictor = predictor
        self._store = store
        self._options = options
        self._max_megapixels = max_megapixels
        self._drawn = digest([DRAWING_VERSION, dataclasses.asdict(options)])

    def is_done(self, job: Job) -> bool:
        """Tell whether a photo has its part, or cannot be read."""
        return self._store.has(job.key, self._drawn) or bool(self._store.read_failure(job.key))

    def do(self, job: Job, progress: Progress) -> None:
        """Make a photo's part, or keep why it cannot be made.

        Args:
            job: The photo.
            progress: Called with the tiles that are done and those that there are.
        """
        start = time.perf_counter()
        try:
            photo_bgr = read_photo(job.source.path, max_megapixels=self._max_megapixels)
        except (UserError, OSError) as error:
            self._fail(job, error)
            return
        part = self._store.read(job.key)
        if part is None:
            try:
                instances = self._predictor(photo_bgr, progress=progress)
            except (MemoryError, torch.OutOfMemoryError) as error:
                self._fail(job, error)
                return
            part = Part(
                image_hw=photo_bgr.shape[:2],
                rows=rows_of(instances),
                seconds=time.perf_counter() - start,
            )
        self._store.write(job.key, self._draw(job, photo_bgr, part))

    def _draw(self, job: Job, photo_bgr: np.ndarray, part: Part) -> Part:
        saliency = self._predictor.saliency(photo_bgr) if self._options.attention else None
        files = write_pictures(
            self._store.output,
            job.source.stem,
            photo_bgr,
            part.rows,
            options=self._options,
            class_names=self._predictor.class_names,
            saliency=saliency,
        )
        return dataclasses.replace(part, drawn=self._drawn, files=files)

    def _fail(self, job: Job, error: Exception) -> None:
        reason = _without_folders(f"{error}" or type(error).__name__, job.source)
        logger.warning("%s is left out: %s", job.source.path, reason)
        self._store.write_failure(job.key, reason)


def _without_folders(text: str, source: Source) -> str:
    """Call a photo by its name where an error calls it by its path."""
    places = {str(source.path), str(source.path.absolute()), str(source.path.resolve())}
    for place in sorted(places, key=len, reverse=True):
        text = text.replace(place, source.name)
    folders = {str(source.path.absolute().parent), str(source.path.resolve().parent)}
    for folder in sorted(folders, key=len, reverse=True):
        text = text.replace(folder, "...") if folder != "/" else text
    return text
