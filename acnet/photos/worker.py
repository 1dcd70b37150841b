"""One photo becomes a record: read, predicted, drawn, written; or why it cannot is kept."""

import dataclasses
import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from acnet.errors import UserError
from acnet.files import Progress, digest
from acnet.photos.decode import in_srgb
from acnet.photos.draw import DrawBoxes, DrawingOptions, write_pictures
from acnet.photos.grid import PhotoSizing
from acnet.photos.merge import TileDetections
from acnet.photos.photo_records import Part, PartStore
from acnet.photos.read import PhotoFile, read_photo_file
from acnet.photos.results import CountRule, arrays_of, photo_traits, rows_of
from acnet.photos.sources import Source, without_folders

logger = logging.getLogger(__name__)

DRAWING_VERSION = 5  # raise it when pictures change their look

# A photo, what is found in it and its saliency; or why nothing is.
Found: TypeAlias = Exception | tuple[PhotoFile, Part, np.ndarray | None]


class Detector(Protocol):
    """What finds lesions in whole photos: `acnet.inference.predictor.Predictor`, or a like one.

    Attributes:
        class_names: By class index.
        rule: Which detections count.
        merge_name: What merges the tiles of a photo.
        identity: Hash of weights, config and whatever else decides what is found.
        sizing: At which size photos are seen.
        has_saliency: Whether there is a mask attention to look at.
    """

    class_names: Sequence[str]
    rule: CountRule
    merge_name: str
    identity: str
    sizing: PhotoSizing
    has_saliency: bool

    def detect(self, photo_bgr: np.ndarray, *, progress: Progress | None = None) -> TileDetections:
        """Find the lesions of a photo, best first."""

    def saliency(self, photo_bgr: np.ndarray, *, photo_size_px: int | None = None) -> np.ndarray:
        """Show where the mask attention expects lesions, in [0, 1] over the whole photo."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A photo to be done: ids count from 1 in the order of photos, `key` names its record."""

    image_id: int
    source: Source
    key: str


def find_lesions(
    detector: Detector, photo: PhotoFile, start: float, progress: Progress | None = None
) -> Part:
    """Find the lesions of a photo whose reading began at `start`, in `time.perf_counter()`."""
    found = detector.detect(photo.image_bgr, progress=progress)
    return Part(
        image_hw=photo.image_bgr.shape[:2],
        rows=rows_of(found.boxes_xyxy, found.scores, found.classes),
        seconds=time.perf_counter() - start,
        photo_size_px=found.photo_size_px or max(photo.image_bgr.shape[:2]),
        warning=photo.warning,
        traits=photo_traits(photo.image_bgr).tolist(),
    )


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
        rule = dataclasses.asdict(detector.rule)
        self._drawn = digest([DRAWING_VERSION, dataclasses.asdict(drawing), rule])

    def is_done(self, job: Job) -> bool:
        """Tell whether a photo has its file, or cannot be read."""
        return self._store.has(job.key, self._drawn) or bool(self._store.read_failure(job.key))

    def do(self, jobs: Sequence[Job], progress: Progress) -> Iterator[Job]:
        """Make photos' files, or keep why they cannot be made, and yield each once it is predicted.

        While a photo is predicted, the next one is read, and the one before is drawn and written;
        the last is written when the iteration ends.
        """
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            following = deque(jobs)
            ahead = reader.submit(self._read, following[0]) if jobs else None
            writing: Future | None = None
            while following:
                job, reading = following.popleft(), ahead.result()
                ahead = reader.submit(self._read, following[0]) if following else None
                found = self._find(job, reading, progress)
                if writing is not None:
                    writing.result()  # raises what was raised there
                writing = writer.submit(self._write, job, found)
                yield job
            if writing is not None:
                writing.result()

    def _read(self, job: Job) -> tuple[PhotoFile | Exception, float]:
        """Return the photo, or why there is none, and the seconds that it took."""
        start = time.perf_counter()
        try:
            photo = read_photo_file(job.source.path, max_megapixels=self._max_megapixels)
        except Exception as error:  # noqa: BLE001 - decoders raise anything
            photo = error
        return photo, time.perf_counter() - start

    def _find(
        self, job: Job, reading: tuple[PhotoFile | Exception, float], progress: Progress
    ) -> Found:
        photo, seconds = reading
        if isinstance(photo, Exception):
            return photo
        if photo.warning:
            logger.warning("%s: %s", job.source.name, photo.warning)
        try:
            part, saliency = self._store.read(job.key), None
            if part is None or part.image_hw != photo.image_bgr.shape[:2]:
                start = time.perf_counter() - seconds
                part = find_lesions(self._detector, photo, start, progress)
            if self._drawing.attention:
                size_px = part.photo_size_px
                saliency = self._detector.saliency(photo.image_bgr, photo_size_px=size_px)
        except OSError:  # of the disk, which the next photo would meet as well
            raise
        except Exception as error:  # noqa: BLE001 - as above
            return error
        return photo, part, saliency

    def _write(self, job: Job, found: Found) -> None:
        if isinstance(found, Exception):
            self._fail(job, found)
            return
        photo, part, saliency = found
        try:
            part = self._draw(job, in_srgb(photo.image_bgr, photo.profile), part, saliency)
        except OSError:  # as above
            raise
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(job, error)
        else:
            self._store.write(job.key, part)

    def _draw(
        self, job: Job, photo_bgr: np.ndarray, part: Part, saliency: np.ndarray | None
    ) -> Part:
        self._store.remove_pictures(part.files.values())
        rule = self._detector.rule
        rows = rule.with_probabilities(part.rows)
        files = write_pictures(
            self._store.output,
            job.source.stem,
            photo_bgr,
            *arrays_of(rows),
            probabilities=np.array([row.get("probability", row["score"]) for row in rows]),
            options=self._drawing,
            score_threshold=rule.threshold if rule.may_count(part.traits) else np.inf,
            class_names=self._detector.class_names,
            draw_boxes=self._draw_boxes,
            saliency=saliency,
        )
        return dataclasses.replace(part, drawn=self._drawn, files=files)

    def _fail(self, job: Job, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or f"{error}" or "it does not fit the memory"
        # Torch's own error about memory has another type.
        if not isinstance(error, UserError | OSError) and "Memory" not in type(error).__name__:
            logger.debug("%s", job.source.name, exc_info=error)
            reason = f"{type(error).__name__}: {reason}"
        reason = without_folders(reason, job.source)
        logger.warning("%s is left out: %s", job.source.name, reason)
        self._store.write_failure(job.key, reason)
