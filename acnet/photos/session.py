"""The photos of a page that is served: found, shown and forgotten without a file on the disk."""

import dataclasses
import json
import logging
import re
import threading
import time
from pathlib import Path

import numpy as np

from acnet.errors import UserError, printable
from acnet.files import cut_name
from acnet.photos.decode import in_srgb
from acnet.photos.draw import encode_picture, lesion_crops, limited, thumbnail
from acnet.photos.folder import photo_result
from acnet.photos.page import gallery_page
from acnet.photos.read import MAX_MEGAPIXELS, read_photo_file
from acnet.photos.results import FailedPhoto, PhotoResult, arrays_of, table_texts
from acnet.photos.sources import Source
from acnet.photos.worker import FOLDER_OF, Detector, Job, Part, find_lesions

logger = logging.getLogger(__name__)

MOST_PHOTOS = 200
MOST_BYTES = 1 << 30  # of all pictures together
NAME_BYTES = 200
TABLES = ("counts.csv", "lesions.csv", "predictions.json", "images.json")


class Session:
    """The photos that a page was given, with what was found in them, until they are forgotten.

    Args:
        detector: The model; it is asked about one photo at a time.
        max_megapixels: Larger photos are refused.
    """

    def __init__(self, detector: Detector, *, max_megapixels: float = MAX_MEGAPIXELS):
        self._detector = detector
        self._max_megapixels = max_megapixels
        self._engine, self._lock = threading.Lock(), threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Drop all photos and what was found in them."""
        with self._lock:
            self._parts: list[Part] = []
            self._results: list[PhotoResult] = []
            self._failed: list[FailedPhoto] = []
            self._pictures: dict[str, bytes] = {}
            self._round = object()  # photos under way are of an earlier one

    def add(self, name: str, content: bytes) -> str | None:
        """Find the lesions of a photo.

        Args:
            name: What to call it.
            content: Of its file.

        Returns:
            Why it cannot be taken, None where it is.
        """
        name = cut_name(printable(name).replace("\n", " "), NAME_BYTES) or "photo"
        this_round, reason = self._round, self._full()
        if reason is None:
            try:
                with self._engine:
                    return self._find(name, content, this_round)
            except Exception as error:
                reason = f"{error}" or "it does not fit the memory"
                reason = re.sub(r" <_io\.BytesIO[^>]*>", "", reason)  # Pillow's name of it
                if not isinstance(error, UserError | OSError):
                    logger.debug("%s", name, exc_info=error)
                    reason = f"{type(error).__name__}: {reason}"
        with self._lock:
            self._failed = [*self._failed, FailedPhoto(name=name, reason=reason)][-MOST_PHOTOS:]
        return reason

    def _full(self) -> str | None:
        size = sum(map(len, self._pictures.values()))
        if len(self._results) < MOST_PHOTOS and size < MOST_BYTES:
            return None
        return (
            f"A page holds up to {MOST_PHOTOS} photos and {MOST_BYTES >> 20} MB of pictures in "
            "memory, and this one is full. Let it forget them first, or use `acnet predict`."
        )

    def _find(self, name: str, content: bytes, this_round: object) -> None:
        start = time.perf_counter()
        photo = read_photo_file(name, content, max_megapixels=self._max_megapixels)
        part = find_lesions(self._detector, photo, start)
        pictures = self._draw(in_srgb(photo.image_bgr, photo.profile), part)
        with self._lock:
            if self._round is not this_round:
                return
            number = len(self._results) + 1
            files = {kind: f"{FOLDER_OF[kind]}/{number}.jpg" for kind in pictures}
            part = dataclasses.replace(part, files=files)
            job = Job(image_id=number, source=Source(Path(name), name, f"{number}"), key="")
            self._pictures.update({files[kind]: one for kind, one in pictures.items()})
            self._parts.append(part)
            self._results.append(photo_result(job, part, self._detector.rule))

    def _draw(self, photo_bgr: np.ndarray, part: Part) -> dict[str, bytes]:
        """Return the files of a photo's pictures by kind, small enough for a page."""
        rule = self._detector.rule
        counted = [row for row in part.rows if row["score"] >= rule.threshold]
        boxes_xyxy, _, _ = arrays_of(sorted(counted, key=lambda row: -row["score"]))
        photo_rgb, _ = limited(np.ascontiguousarray(photo_bgr[:, :, ::-1]))
        pictures = {"photo": photo_rgb, "thumbnail": thumbnail(photo_rgb)}
        crops = lesion_crops(photo_bgr, boxes_xyxy) if rule.may_count(part.traits) else None
        if crops is not None:
            pictures["crops"] = np.ascontiguousarray(crops[:, :, ::-1])
        return {kind: encode_picture(picture) for kind, picture in pictures.items()}

    def file(self, name: str) -> bytes | None:
        """Return a picture or a table by its name on the page; None where there is none."""
        with self._lock:
            if name in self._pictures:
                return self._pictures[name]
            results, failed, parts = list(self._results), list(self._failed), list(self._parts)
        if name not in TABLES:
            return None
        rule = self._detector.rule
        if name == "predictions.json":
            rows = [
                {"image_id": number, **row}
                for number, part in enumerate(parts, start=1)
                for row in rule.with_probabilities(part.rows)
            ]
            return json.dumps(rows, allow_nan=False).encode()
        info = {"merge": self._detector.merge_name, **self._detector.sizing.about}
        info["count"] = {"threshold": rule.threshold}
        names = self._detector.class_names
        return table_texts(results, failed, class_names=names, info=info)[name].encode()

    def page(self) -> str:
        """Return the page with all photos, the last one first."""
        with self._lock:
            results, failed = self._results[::-1], list(self._failed)
        return gallery_page(
            results,
            failed,
            rule=self._detector.rule,
            files=TABLES if results else (),
            trained_px=self._detector.sizing.size_px,
            template="serve.html.j2",
            more_script="serve.js",
        )
