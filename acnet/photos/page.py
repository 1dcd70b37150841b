"""The page of a prediction, which works from the disk and asks nobody anything."""

import base64
import dataclasses
import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

import acnet
from acnet.evaluation.counting import GRADE_NAMES
from acnet.files import write_text
from acnet.photos.results import CountRule, FailedPhoto, PhotoResult
from acnet.templates import render

GALLERY_TITLE = "Lesions found"
GRADED = (
    "Grades are Hayashi's, for inflammatory lesions on half of the face: up to 5 mild, up to 20 "
    "moderate, up to 50 severe, more very severe."
)
UNGRADED = (
    "There is no grade: Hayashi's limits are for inflammatory lesions on half of the face, and "
    "these counts are not known to be of that."
)
MOST_BELOW = 100  # detections of a photo below the threshold that the page can show
NOTED_FACTOR = 1.2  # between the sizes of a photo and of training, above which the page tells of it


def write_gallery(path: Path, *args: Any, **kwargs: Any) -> None:
    """Write what `gallery_page` returns, whole or not at all."""
    write_text(path, gallery_page(*args, **kwargs))


def gallery_page(
    results: Sequence[PhotoResult],
    failed: Sequence[FailedPhoto],
    *,
    rule: CountRule,
    files: Sequence[str],
    trained_px: int | None = None,
    template: str | Path = "gallery.html.j2",
    more_script: str = "",
    **values: Any,
) -> str:
    """Return the page, which lies in the folder that the pictures' paths start from.

    Args:
        results: In the order in which they are shown at first.
        files: Names beside the page that programs read.
        trained_px: Long side of photos in training; None for tiles of photos as they are.
        template: That or one that extends it, with `more_script`, a file beside that.
        **values: What such a template needs besides, or has otherwise.
    """
    has_grades = rule.model is not None and rule.model.has_grade
    sorts = [("name", "Name"), ("count", "Lesions")]
    own = {
        "title": GALLERY_TITLE,
        "photos": [_card(result, rule.threshold, trained_px) for result in results],
        "slider": _slider(results, rule),
        "failed": failed,
        "total": sum(result.count.count or 0 for result in results),
        "uncounted": sum(result.count.count is None for result in results),
        "tally": _tally(results) if has_grades else [],
        "how": _how(rule),
        "level": f"{rule.model.coverage:.0%}" if rule.model else "",
        "grades": GRADE_NAMES,
        "sorts": [*sorts, ("grade", "Grade")] if has_grades else sorts,
        "files": files,
    }
    scripts = ["gallery.js", *filter(None, [more_script])]
    return scripted_page(template, scripts, **own | values)


def scripted_page(template: str | Path, scripts: Sequence[str], **values: Any) -> str:
    """Return a page on which these scripts, files beside the template, and no others run."""
    folder = resources.files("acnet.templates")
    script = "".join(folder.joinpath(name).read_text("utf-8") for name in scripts)
    permission = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return render(
        template,
        version=acnet.__version__,
        script=Markup(script),
        scripts=f"'sha256-{permission}'",
        **values,
    )


def _slider(results: Sequence[PhotoResult], rule: CountRule) -> dict | None:
    """Return what the threshold's slider needs; None where no box is drawn by the page."""
    if not any("photo" in result.files for result in results):
        return None
    # Below, some photo has detections that the page does not know of.
    cuts = [result.below[-1]["score"] for result in results if len(result.below) >= MOST_BELOW]
    score_map = rule.model and rule.model.probability
    known = score_map and {"scores": score_map.scores, "shares": score_map.shares}
    return {
        "least": min(math.ceil(max(cuts, default=0.05) * 1000) / 1000, rule.threshold),
        "threshold": rule.threshold,
        "known": json.dumps(known),
    }


def seen_otherwise(size_px: int, trained_px: int | None) -> str:
    """Say so where a photo was seen at another size than those of the training; "" where not."""
    if trained_px is None or 1 / NOTED_FACTOR <= size_px / trained_px <= NOTED_FACTOR:
        return ""
    return f"seen at {size_px} px, trained at {trained_px} px"


def _boxes(result: PhotoResult, threshold: float) -> list[dict]:
    if "photo" not in result.files or result.count.count is None:
        return []
    names = ("x", "y", "width", "height")
    return [
        {
            **{name: round(value, 1) for name, value in zip(names, row["bbox"], strict=True)},
            "score": row["score"],
            "text": f"{row['probability']:.0%}" if "probability" in row else f"{row['score']:.2f}",
            "counts": row["score"] >= threshold,
        }
        for row in (*result.rows, *result.below)
    ]


def _card(result: PhotoResult, threshold: float, trained_px: int | None) -> dict:
    count, files = result.count, result.files
    if count.count is None:
        lesions = count.note
    else:
        lesions = "1 lesion" if count.count == 1 else f"{count.count} lesions"
    grade = "" if count.grade is None else f", {GRADE_NAMES[count.grade]}"
    full = files.get("photo") or files.get("picture") or files["schematic"]
    return {
        **dataclasses.asdict(count),
        "name": result.name,
        "width": result.image_hw[1],
        "height": result.image_hw[0],
        "seconds": result.seconds,
        "warning": result.warning,
        "seen": seen_otherwise(result.photo_size_px, trained_px),
        "full": full,
        "picture": files.get("picture"),
        "boxes": _boxes(result, threshold),
        "small": files.get("thumbnail", full),
        "attention": files.get("attention"),
        "crops": files.get("crops"),
        "alt": f"{result.name}: {lesions}{grade}",
    }


def _tally(results: Sequence[PhotoResult]) -> list[dict]:
    photos = Counter(result.count.grade for result in results)
    return [
        {"grade": grade, "name": name, "photos": photos[grade]}
        for grade, name in enumerate(GRADE_NAMES)
    ]


def _how(rule: CountRule) -> str:
    counted = f"A lesion counts from a score of {rule.threshold:.3g}"
    score_map = rule.model and rule.model.probability
    if score_map:
        share = score_map(np.array([rule.threshold]))[0]
        counted += f" (of detections with such a score, {share:.0%} were right)"
    if rule.model is None:
        return (
            f"{counted}, which was not fitted to this model: counts have neither interval nor "
            "grade. acnet calibrate fits one on validation photos."
        )
    return (
        f"{counted}, fitted on {rule.model.fit_photos} validation photos. The interval beside a "
        f"count holds the true one in {rule.model.coverage:.0%} of such photos. Counted "
        f"are {rule.model.counted}. {GRADED if rule.model.has_grade else UNGRADED}"
    )
