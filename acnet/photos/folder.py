"""A whole prediction: photos in, a folder of results out, by one process or by many.

Each photo becomes a file of its own (see `photo_records`), so that a run goes on where it
was stopped. Of several processes each takes every n-th photo; they share the folder and nothing
else, and the first makes tables and page of all photos at the end. Where a process dies, its photos
are missing: run the same command again.
"""

import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm.contrib.logging import logging_redirect_tqdm

import acnet
from acnet.errors import UserError, printable
from acnet.files import (
    check_output_file,
    check_output_folder,
    digest,
    is_ours,
    progress_bar,
    remove_stale,
)
from acnet.photos.draw import (
    PICTURE_FOLDERS,
    PICTURE_MARK,
    SHOWS_FACES,
    DrawBoxes,
    DrawingOptions,
    picture_files,
)
from acnet.photos.page import GALLERY_TITLE, MOST_BELOW, write_gallery
from acnet.photos.photo_records import PARTS, Part, PartStore
from acnet.photos.read import MAX_MEGAPIXELS
from acnet.photos.results import (
    RESULT_TABLES,
    TABLE_MARKS,
    CountRule,
    FailedPhoto,
    PhotoResult,
    images_info,
    versions,
    write_results,
)
from acnet.photos.sources import Ranks, Source, numbered, photo_digest
from acnet.photos.worker import Detector, Job, PhotoWorker

logger = logging.getLogger(__name__)

PAGE = "index.html"
PAGE_MARKS = (f"<title>{GALLERY_TITLE}</title>",)
SMALLEST_LIMIT = 100  # of detections, COCO's; fewer are never all that a model may keep
POLL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a prediction found, photos that it could not read, and the rule that counted."""

    results: list[PhotoResult]
    failed: list[FailedPhoto]
    rule: CountRule

    def document(self, output: str | Path) -> dict:
        """Return all of it for programs, as plain lists and mappings."""
        model = self.rule.model
        return {
            "acnet": acnet.__version__,
            "output": printable(str(output)),
            "threshold": self.rule.threshold,
            "count_model": None if model is None else dataclasses.asdict(model),
            "photos": [
                {
                    "id": result.image_id,
                    "photo": result.name,
                    "width": result.image_hw[1],
                    "height": result.image_hw[0],
                    "photo_size_px": result.photo_size_px,
                    **dataclasses.asdict(result.count),
                    "seconds": round(result.seconds, 2),
                    "warning": result.warning,
                    "files": dict(result.files),
                    "lesions": result.rows,
                }
                for result in self.results
            ],
            "failed": [{"photo": one.name, "reason": one.reason} for one in self.failed],
        }


def predict_folder(
    detector: Detector,
    sources: Sequence[Source],
    output: Path,
    *,
    drawing: DrawingOptions,
    draw_boxes: DrawBoxes,
    ranks: Ranks | None = None,
    max_megapixels: float = MAX_MEGAPIXELS,
    bom: bool = False,
) -> Outcome | None:
    """Predict photos, or go on where a run with the same settings stopped.

    What was found is known to the first process alone; the others return None.

    Args:
        output: Folder of the results; shared by all processes, if there are several.
        drawing: About the pictures; `share` also calls photos by number instead of by name.
        ranks: Which of several processes this is; None for the only one.
        max_megapixels: Larger photos are refused.

    Raises:
        UserError: The folder cannot take the results, or the pictures cannot be drawn so.
    """
    ranks = ranks or Ranks()
    _check_attention(drawing, detector.has_saliency)
    check_output(output, sources, drawing)
    store = PartStore(output, classes=len(detector.class_names))
    store.folder.mkdir(parents=True, exist_ok=True)
    if drawing.share:
        sources = numbered(sources)
    deciding = digest([detector.identity, versions()])
    jobs = [
        Job(image_id=number, source=source, key=digest([deciding, photo_digest(source)]))
        for number, source in enumerate(sources, start=1)
    ]
    worker = PhotoWorker(detector, store, drawing, draw_boxes, max_megapixels=max_megapixels)
    do_jobs(jobs, worker, store, ranks)
    if not ranks.is_first:
        return None
    rule, sizing = detector.rule, detector.sizing
    results, failed = collect(jobs, store, rule)
    model = rule.model and dataclasses.asdict(rule.model)
    info = images_info(detector.merge_name, sizing, threshold=rule.threshold, model=model)
    rows = all_rows(jobs, store, rule)
    names = detector.class_names
    write_results(output, results, failed, rows=rows, class_names=names, info=info, bom=bom)
    tables = [*RESULT_TABLES, *(["failed.csv"] if failed else [])]
    tables += ["warnings.csv"] if any(result.warning for result in results) else []
    page = output / PAGE
    write_gallery(page, results, failed, rule=rule, files=tables, trained_px=sizing.size_px)
    _tidy(store)
    return Outcome(results=results, failed=failed, rule=rule)


def _check_attention(drawing: DrawingOptions, has_saliency: bool) -> None:
    if drawing.attention and drawing.share:
        raise UserError(
            "--attention draws on the whole photo, which --share keeps out of the results. "
            "Received both; leave one of them out."
        )
    if drawing.attention and not has_saliency:
        raise UserError(
            "--attention shows what the mask attention (MAMA) sees. Received a config whose model "
            "has none, or an exported file; leave --attention out."
        )


def check_output(output: Path, sources: Sequence[Source], drawing: DrawingOptions) -> None:
    """Refuse a folder in which results would replace, or follow a link to, what is not ours."""
    check_output_folder(output)
    for name in (PARTS, *PICTURE_FOLDERS):
        folder = output / name
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise UserError(
                "Results are written into OUTPUT alone, and links in it are not followed. "
                f"Received --output {output}, where {name} is a link or a file; name a new folder."
            )
    sources = numbered(sources) if drawing.share else sources
    ours = {(output / name).resolve() for name in PICTURE_FOLDERS}
    tables = {(output / name).resolve() for name in (PAGE, *TABLE_MARKS)}
    there = {f"{name}/{p.name}" for name in PICTURE_FOLDERS for p in (output / name).glob("*")}
    for source in sources:
        place = source.path.resolve()
        if place.parent in ours or place in tables:
            raise UserError(
                "Results must not replace the photos that they are made of. Received "
                f"--output {output} and the photo {source.path}, which lies where results "
                "go; name another folder for --output."
            )
        for file in there.intersection(picture_files(source.stem, drawing).values()):
            if not is_ours(output / file, (PICTURE_MARK,)):
                raise UserError(
                    "Results must not replace pictures that acnet did not make. Received --output "
                    f"{output}, which holds {file}; name another folder for --output."
                )
    faces = [name for name in SHOWS_FACES if drawing.share and (output / name).exists()]
    if faces:
        raise UserError(
            "Results that are to be shared must not lie beside pictures that show whole photos. "
            f"Received {output}, which has {faces[0]}/ of another run; name a new folder."
        )
    for name, marks in {PAGE: PAGE_MARKS, **TABLE_MARKS}.items():
        check_output_file(output / name, marks=marks, option="--output")


def do_jobs(jobs: Sequence[Job], worker: PhotoWorker, store: PartStore, ranks: Ranks) -> None:
    """Do this process's photos; the first one also waits until all others are done.

    Jobs and store are the same in all processes, the worker and its ranks are this one's.
    """
    if not ranks.has_others:
        store.forget_failures()
    finished = sum(map(worker.is_done, jobs))
    if finished and ranks.is_first:
        logger.info("%d of %d photos are done already", finished, len(jobs))
    with logging_redirect_tqdm(), PhotoBar(len(jobs), finished, visible=ranks.is_first) as bar:
        own = {job.key: job for job in reversed(jobs[ranks.rank :: ranks.world_size])}
        for _ in worker.do([one for one in own.values() if not worker.is_done(one)], bar.tiles):
            bar.photo()
        others = [job for job in jobs if not worker.is_done(job)] if ranks.is_first else []
        while others:
            time.sleep(POLL_SECONDS)
            left = [job for job in others if not worker.is_done(job)]
            for _ in range(len(others) - len(left)):
                bar.photo()
            others = left


def collect(
    jobs: Sequence[Job], store: PartStore, rule: CountRule
) -> tuple[list[PhotoResult], list[FailedPhoto]]:
    """Gather what all processes have found, and remove what other runs left.

    Results and photos that are left out are each in the order of the photos. A UserError tells of
    a file that has vanished.
    """
    results, failed = [], []
    for job in jobs:
        part = store.read(job.key)
        reason = store.read_failure(job.key)
        if part is not None:
            results.append(photo_result(job, part, rule))
        elif reason is not None:
            failed.append(FailedPhoto(name=job.source.name, reason=reason))
        else:
            raise UserError(
                "Results are gathered from a file for each photo in OUTPUT. Received none for "
                f"{job.source.name}, so somebody removed it during the run; run the command again."
            )
    store.keep_only({job.key for job in jobs})
    return results, failed


def photo_result(job: Job, part: Part, rule: CountRule) -> PhotoResult:
    weakest = min((row["score"] for row in part.rows), default=0.0)
    if len(part.rows) >= SMALLEST_LIMIT and weakest >= rule.threshold:
        logger.warning(
            "%s may hold more lesions than the %d that are counted: all that were kept count. "
            "Raise --max-detections, or choose a smaller --tile-size, since each tile keeps a few "
            "hundred at most.",
            *(job.source.name, len(part.rows)),
        )
    count = rule((row["score"] for row in part.rows), part.traits)
    rows = rule.with_probabilities(sorted(part.rows, key=lambda row: -row["score"]))
    return PhotoResult(
        image_id=job.image_id,
        name=job.source.name,
        image_hw=part.image_hw,
        rows=rows[: count.count or 0],
        below=rows[count.count or 0 :][:MOST_BELOW],
        count=count,
        seconds=part.seconds,
        photo_size_px=part.photo_size_px,
        files=part.files,
        warning=part.warning,
    )


def all_rows(jobs: Sequence[Job], store: PartStore, rule: CountRule) -> Iterator[dict]:
    """Yield the detections of all photos as COCO results, reading one photo's at a time."""
    for job in jobs:
        part = store.read(job.key)
        for row in rule.with_probabilities(part.rows) if part is not None else ():
            yield {"image_id": job.image_id, **row}


def _tidy(store: PartStore) -> None:
    """Remove what killed processes left, and let unreadable photos be tried again."""
    store.forget_failures()
    for name in ("", PARTS, *PICTURE_FOLDERS):
        remove_stale(store.output / name)


class PhotoBar:
    """A progress bar over photos, in which a large photo advances by its tiles."""

    def __init__(self, total: int, finished: int, *, visible: bool):
        self._photos = finished
        self._bar = progress_bar(
            total=total,
            initial=finished,
            desc="predicting",
            unit="photo",
            bar_format="{l_bar}{bar}| {n:.4g}/{total_fmt} [{elapsed}<{remaining}]",
            delay=1 if total == 1 else 0,  # one small photo needs no bar
            disable=not visible,
        )

    def __enter__(self) -> "PhotoBar":
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
