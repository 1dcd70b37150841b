"""Many photos through one model, into one folder of results, by one process or by many.

Each photo becomes a part (see `acnet.inference.parts`); tables and page are made of the parts at
the end, by the first process. Processes share the folder and nothing else: each takes photos that
nobody has claimed, and what a dead one left is taken over.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence

from tqdm.contrib.logging import logging_redirect_tqdm

from acnet.errors import UserError
from acnet.inference.claims import Claims
from acnet.inference.counts import CountRule
from acnet.inference.fingerprint import digest, photo_digest
from acnet.inference.parts import Part, PartStore
from acnet.inference.photo_bar import PhotoBar
from acnet.inference.photo_worker import Job, PhotoWorker
from acnet.inference.ranks import Ranks
from acnet.inference.results import FailedPhoto, PhotoResult
from acnet.inference.sources import Source

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
SMALLEST_LIMIT = 100  # of detections, COCO's; fewer are never all that a model may keep


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
    with logging_redirect_tqdm(), PhotoBar(len(jobs), finished, visible=ranks.is_first) as bar:
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
    weakest = min((row["score"] for row in part.rows), default=0.0)
    if len(part.rows) >= SMALLEST_LIMIT and weakest >= rule.threshold:
        logger.warning(
            "%s may hold more lesions than the %d that are counted: all that were kept count. "
            "Raise --max-detections, or choose a smaller --tile-size, since each tile keeps a few "
            "hundred at most.",
            *(job.source.name, len(part.rows)),
        )
    return PhotoResult(
        image_id=job.image_id,
        name=job.source.name,
        image_hw=part.image_hw,
        rows=[row for row in part.rows if row["score"] >= rule.threshold],
        count=rule(row["score"] for row in part.rows),
        seconds=part.seconds,
        files=part.files,
    )


def _always(key: str) -> bool:
    return True


def _nothing(key: str) -> None:
    return
