"""A whole prediction: photos in, a folder of results out."""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from acnet.errors import UserError
from acnet.inference.batch import all_rows, collect, do_jobs, make_jobs
from acnet.inference.counts import CountRule
from acnet.inference.fingerprint import digest, versions
from acnet.inference.parts import PartStore
from acnet.inference.photo_worker import PhotoWorker
from acnet.inference.photos import MAX_MEGAPIXELS
from acnet.inference.pictures import SHOWS_FACES, DrawingOptions
from acnet.inference.predictor import Predictor
from acnet.inference.ranks import Ranks
from acnet.inference.results import FailedPhoto, PhotoResult, write_results
from acnet.inference.sources import Source, numbered
from acnet.visualization.gallery import write_gallery

PAGE = "index.html"
TABLES = ("counts.csv", "predictions.json", "images.json")
# What `atomic_write` calls its files until they are whole.
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}\.tmp(\..+)?")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a prediction found.

    Args:
        results: Of the photos that could be read, in order.
        failed: The others.
        rule: That counted the lesions.
    """

    results: list[PhotoResult]
    failed: list[FailedPhoto]
    rule: CountRule


def predict_folder(
    predictor: Predictor,
    sources: Sequence[Source],
    output: Path,
    *,
    rule: CountRule,
    drawing: DrawingOptions,
    deciding: str,
    ranks: Ranks | None = None,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> Outcome | None:
    """Predict photos, or go on where a run with the same settings stopped.

    Args:
        predictor: The model.
        sources: The photos.
        output: Folder of the results; shared by all processes, if there are several.
        rule: Which detections count.
        drawing: About the pictures; `share` also calls photos by number instead of by name.
        deciding: Hash of weights, config and whatever else decides what the predictor finds.
        ranks: Which of several processes this is; None for the only one.
        max_megapixels: Larger photos are refused.

    Returns:
        What was found; None in processes other than the first.

    Raises:
        UserError: The folder holds pictures of faces, and results are to be shared.
    """
    ranks = ranks or Ranks()
    if drawing.share:
        _check_no_faces(output)
        sources = numbered(sources)
    store = PartStore(output)
    worker = PhotoWorker(predictor, store, drawing, max_megapixels=max_megapixels)
    jobs = make_jobs(sources, digest([deciding, versions()]))
    do_jobs(jobs, worker, store, ranks)
    if not ranks.is_first:
        return None
    results, failed = collect(jobs, store, rule)
    info = {"merge": predictor.merge_name, "count": _about(rule)}
    rows = all_rows(jobs, store)
    write_results(output, results, failed, rows=rows, class_names=predictor.class_names, info=info)
    tables = [*TABLES, *(["failed.csv"] if failed else [])]
    write_gallery(output / PAGE, results, failed, rule=rule, files=tables)
    _tidy(store)
    return Outcome(results=results, failed=failed, rule=rule)


def _check_no_faces(output: Path) -> None:
    for name in SHOWS_FACES:
        if (output / name).exists():
            raise UserError(
                "Results that are to be shared must not lie beside pictures that show whole "
                f"photos. Received {output}, which has {name}/ of another run; name a new folder."
            )


def _about(rule: CountRule) -> dict:
    model = None if rule.model is None else dataclasses.asdict(rule.model)
    return {"threshold": rule.threshold, "model": model}


def _tidy(store: PartStore) -> None:
    """Remove what killed processes left, and let unreadable photos be tried again."""
    store.forget_failures()
    for pattern in ("*.claim", "*.alive"):
        for path in store.folder.glob(pattern):
            path.unlink(missing_ok=True)
    folders = [store.output, *(path for path in store.output.iterdir() if path.is_dir())]
    for path in [path for folder in folders for path in folder.iterdir()]:
        if path.is_file() and _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)
