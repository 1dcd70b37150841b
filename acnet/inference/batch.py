"""Many photos through one model, into one folder of results, by one process or by many.

Each photo becomes a part (see `acnet.inference.parts`); tables and page are made of the parts at
the end, by the first process. Processes share the folder and nothing else: each takes photos that
nobody has claimed, and what a dead one left is taken over.
"""

import dataclasses
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from acnet.data.parallel import LOG_INTERVAL_SECONDS
from acnet.errors import UserError
from acnet.inference.claims import Claims
from acnet.inference.counts import CountRule
from acnet.inference.fingerprint import digest, photo_digest
from acnet.inference.parts import Part, PartStore
from acnet.inference.photos import read_photo
from acnet.inference.pictures import DrawingOptions, write_pictures
from acnet.inference.predictor import Predictor
from acnet.inference.ranks import Ranks
from acnet.inference.results import FailedPhoto, PhotoResult, rows_of
from acnet.inference.sources import Source
from acnet.inference.tiling import Progress

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
DRAWING_VERSION = 2  # raise it when pictures change their look


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


def make_jobs(sources: Sequence[Source], deciding: str) -> list[Job]:
    """Give each photo its number and its key.

    Args:
        sources: The photos.
        deciding: Hash of what decides results besides the photo.
    """
    return [
        Job(image_id=number, source=source, key=digest([deciding, photo_digest(source)]))
        for number, source in enumerate(sources, start=1)
    ]


def do_jobs(jobs: Sequence[Job], worker: PhotoWorker, store: PartStore, ranks: Ranks) -> None:
    """Do all photos that have no part yet, together with the other processes.

    Args:
        jobs: The same in all processes.
        worker: Of this process.
        store: Shared by all.
        ranks: Which process this is.

    The first process returns when all photos are done; the others as soon as nothing is left to
    take.
    """
    if not ranks.has_others:
        store.forget_failures()
        _work(jobs, worker, jobs, ranks, take=_always, release=_nothing)
        return
    with Claims(store.folder, ranks.rank) as claims:
        _work(
            list(ranks.own_first(jobs)),
            worker,
            jobs,
            ranks,
            take=claims.take,
            release=claims.release,
        )


def _work(
    order: Sequence[Job],
    worker: PhotoWorker,
    jobs: Sequence[Job],
    ranks: Ranks,
    *,
    take: Callable[[str], bool],
    release: Callable[[str], None],
) -> None:
    pending = [job for job in order if not worker.is_done(job)]
    finished = len(jobs) - len(pending)
    if finished and ranks.is_first:
        logger.info("%d of %d photos are done already", finished, len(jobs))
    with logging_redirect_tqdm(), _PhotoBar(len(jobs), finished, ranks) as bar:
        while pending:
            left = []
            for job in pending:
                if take(job.key):
                    if not worker.is_done(job):  # by another process, since it was listed
                        worker.do(job, bar.tiles)
                    release(job.key)
                elif not worker.is_done(job):
                    left.append(job)
                    continue
                bar.photo()
            if left and not ranks.is_first:
                return  # others are at work on the rest, and the first waits for them
            pending = left
            if pending:
                time.sleep(POLL_SECONDS)


class _PhotoBar:
    """A progress bar over photos, in which a large photo advances by its tiles."""

    def __init__(self, total: int, finished: int, ranks: Ranks):
        self._photos = finished
        self._bar = tqdm(
            total=total,
            initial=finished,
            desc="predicting",
            unit="photo",
            bar_format="{l_bar}{bar}| {n:.4g}/{total_fmt} [{elapsed}<{remaining}]",
            mininterval=0.1 if sys.stderr.isatty() else LOG_INTERVAL_SECONDS,
            delay=1 if total == 1 else 0,  # one small photo needs no bar
            disable=not ranks.is_first,
        )

    def __enter__(self) -> "_PhotoBar":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def tiles(self, done: int, total: int) -> None:
        """Show how far the photo under way is."""
        self._bar.update(self._photos + 0.99 * done / total - self._bar.n)

    def photo(self) -> None:
        """Show that one more photo is done."""
        self._photos += 1
        self._bar.update(self._photos - self._bar.n)


def collect(
    jobs: Sequence[Job], store: PartStore, rule: CountRule
) -> tuple[list[PhotoResult], list[FailedPhoto]]:
    """Gather what all processes have found, and remove what other runs left.

    Args:
        jobs: All done.
        store: With their parts.
        rule: Which detections count.

    Returns:
        The results and the photos that are left out, each in the order of the photos.

    Raises:
        UserError: A part has vanished.
    """
    results, failed = [], []
    for job in jobs:
        part = store.read(job.key)
        reason = store.read_failure(job.key)
        if part is not None:
            results.append(_result(job, part, rule))
        elif reason is not None:
            failed.append(FailedPhoto(name=job.source.name, reason=reason))
        else:
            raise UserError(
                "Results are gathered from a file for each photo in OUTPUT. Received none for "
                f"{job.source.name}, so somebody removed it during the run; run the command again."
            )
    store.keep_only({job.key for job in jobs})
    return results, failed


def all_rows(jobs: Sequence[Job], store: PartStore) -> Iterator[dict]:
    """Yield the detections of all photos as COCO results, reading one part at a time.

    Args:
        jobs: All done.
        store: With their parts.
    """
    for job in jobs:
        part = store.read(job.key)
        for row in part.rows if part is not None else ():
            yield {"image_id": job.image_id, **row}


def _result(job: Job, part: Part, rule: CountRule) -> PhotoResult:
    return PhotoResult(
        image_id=job.image_id,
        name=job.source.name,
        image_hw=part.image_hw,
        rows=[row for row in part.rows if row["score"] >= rule.threshold],
        count=rule(row["score"] for row in part.rows),
        seconds=part.seconds,
        files=part.files,
    )


def _without_folders(text: str, source: Source) -> str:
    """Call a photo by its name where an error calls it by its path."""
    places = {str(source.path), str(source.path.absolute()), str(source.path.resolve())}
    for place in sorted(places, key=len, reverse=True):
        text = text.replace(place, source.name)
    folders = {str(source.path.absolute().parent), str(source.path.resolve().parent)}
    for folder in sorted(folders, key=len, reverse=True):
        text = text.replace(folder, "...") if folder != "/" else text
    return text


def _always(key: str) -> bool:
    return True


def _nothing(key: str) -> None:
    return
