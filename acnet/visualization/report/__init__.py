"""An evaluation as one page that a person reads and a file that a program reads.

index.html     everything in one file: text, tables, figures, and photos where they are asked for
results.json   the same numbers
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import acnet
from acnet.errors import UserError
from acnet.evaluation.columns import GroundTruth
from acnet.evaluation.result import JSON_MARKS, EvaluationResult
from acnet.files import check_output_file, write_json, write_text
from acnet.templates import render
from acnet.visualization.report.photo_views import base_name, photo_parts
from acnet.visualization.report.sections import (
    calibration_part,
    classes_part,
    counts_part,
    detection_part,
    errors_part,
    grading_part,
    headline_groups,
    sizes_part,
)

__all__ = ["check_report_folder", "write_report"]

TITLE = "Evaluation of a lesion detector"
PAGE = "index.html"
NUMBERS = "results.json"
CONTENTS = {
    "headline": "Results",
    "evaluated": "What was evaluated",
    "detection": "Finding lesions",
    "scores": "Trusting the scores",
    "counts": "Counting lesions",
    "grades": "Grading severity",
    "sizes": "Small and large",
    "errors": "Errors",
    "classes": "Classes",
    "photos": "Photos",
    "glossary": "Words",
}


def write_report(
    folder: str | os.PathLike, result: EvaluationResult, *, photos_root: Path | None = None
) -> Path:
    """Write a page that needs no other file, and its numbers as JSON; return the page's path.

    The same result gives the same bytes. The worst and the best photos are shown from
    `photos_root`, the folder that the ground truth's file names start from; without it their
    outlines and boxes are drawn alone, so that the page can be passed on where faces cannot.

    Raises:
        UserError: A photo to be shown is not there, or not the one of the ground truth; or the
            folder cannot be written to.
    """
    check_report_folder(folder)
    page = render("report.html.j2", **_values(result, photos_root))
    numbers = result.to_json()
    for photo in numbers["photos"]:
        photo["file_name"] = base_name(photo["file_name"])  # the last part, as on the page
    folder = Path(folder)
    try:
        write_json(folder / NUMBERS, numbers, indent=2)
        write_text(folder / PAGE, page)
    except OSError as error:
        raise UserError(
            "A report is two files, so it needs a folder that can be written to. "
            f"Received {folder} ({error.strerror}); name another place."
        ) from error
    return folder / PAGE


def check_report_folder(folder: str | os.PathLike, *, inputs: Iterable[Path] = ()) -> None:
    """Refuse a folder whose files of these names are inputs, or were not written as a report.

    Raises:
        UserError: They are, or nothing can be written there.
    """
    for name, marks in ((PAGE, [f"<title>{TITLE}</title>"]), (NUMBERS, JSON_MARKS[:1])):
        check_output_file(Path(folder) / name, inputs=inputs, marks=marks, option="--report")


def _values(result: EvaluationResult, photos_root: Path | None) -> dict[str, Any]:
    classes = classes_part(result)
    contents = [item for item in CONTENTS.items() if item[0] != "classes" or classes]
    return {
        "title": TITLE,
        "version": acnet.__version__,
        "contents": contents,
        "facts": _facts(result),
        "headline": headline_groups(result.metrics),
        "detection": detection_part(result),
        "calibration": calibration_part(result),
        "counts": counts_part(result),
        "grading": grading_part(result),
        "sizes": sizes_part(result),
        "errors": errors_part(result),
        "classes": classes,
        "photos": photo_parts(result, photos_root),
    }


def _facts(result: EvaluationResult) -> dict[str, Any]:
    truth, options = result.ground_truth, result.options
    lesions = truth.counts()
    level = f"{options.level * 100:g}\N{NO-BREAK SPACE}%"
    intervals = (
        f"{level}, {options.replicates:,} bootstrap samples, seed\N{NO-BREAK SPACE}{options.seed}"
    )
    rows = [
        ("Photos", f"{truth.num_photos:,}, {int((lesions == 0).sum()):,} of them without a lesion"),
        ("Lesions", _lesions(truth)),
        ("Detections", f"{len(result.detections):,}"),
        ("Classes", ", ".join(truth.class_names)),
        ("Detections that count", f"the best {options.max_detections:,} of a photo and class"),
        ("Operating threshold", f"{result.operating_threshold:.3f} ({result.threshold_source})"),
        ("Intervals", intervals if options.replicates else "none"),
    ]
    return {
        "photos": truth.num_photos,
        "lesions": int(lesions.sum()),
        "detections": len(result.detections),
        "level": level,
        "replicates": options.replicates,
        "seed": options.seed,
        "rows": rows,
    }


def _lesions(truth: GroundTruth) -> str:
    crowds, difficult = int(truth.crowd.sum()), int(truth.difficult.sum())
    parts = [f"{int(truth.counts().sum()):,}, up to {truth.counts().max(initial=0):,} in a photo"]
    parts += [f"{difficult:,} marked difficult"] * bool(difficult)
    parts += [f"and {crowds:,} crowds, which do not count"] * bool(crowds)
    return "; ".join(parts)
