"""What is said of a photo: how many lesions, between which limits, how severe; and tables of it.

predictions.json        COCO results: one row a detection, all scores, in the photos' own pixels
images.json             what the ids in it mean: COCO's `images` and `categories`; of each photo
                        whether it has a count, and where its copy is, too
counts.csv              photo, lesions, between which limits, grade, what is counted, seconds
lesions.csv             a row for each lesion that counts: where it is, and how probable
failed.csv              photos that could not be read, with the reason; only where there are any
warnings.csv            photos that were read, though not all is well; only where there are any
"""

import dataclasses
import importlib.metadata
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import acnet
from acnet.evaluation.count_model import CountModel
from acnet.evaluation.counting import hayashi_grade
from acnet.files import atomic_write, csv_text, json_text, write_text
from acnet.photos.decode import OPENCV_VERSION, blur, scale, y_cr_cb
from acnet.photos.grid import PhotoSizing

DEFAULT_THRESHOLD = 0.5
TRAIT_PX = 128  # long side at which traits are measured, so that they are those of any resolution
PERCENTILES = (5, 25, 50, 75, 95)
BLURS_PX = (1, 2, 4, 8)
UNLIKE = "unlike the photos this was made on: no count is given"

FIRST_CATEGORY_ID = 1  # 0 breaks pycocotools' matching
COUNTS_HEADER = (
    *("photo", "count", "low", "high", "grade", "counted", "note", "seconds", "photo_size_px"),
)
LESIONS_HEADER = ("photo", "x", "y", "width", "height", "class", "score", "probability")
FAILED_HEADER = ("photo", "reason")
WARNINGS_HEADER = ("photo", "warning")
# How each table begins, by which a later run knows that it may replace it.
TABLE_MARKS = {
    "predictions.json": ("[\n]", '[\n{"image_id": '),
    "images.json": ('{"info": {"merge": ',),
    "counts.csv": (",".join(COUNTS_HEADER),),
    "lesions.csv": (",".join(LESIONS_HEADER),),
    "failed.csv": (",".join(FAILED_HEADER),),
    "warnings.csv": (",".join(WARNINGS_HEADER),),
}
RESULT_TABLES = ("counts.csv", "lesions.csv", "predictions.json", "images.json")  # of every run
DECIDING_PACKAGES = ("numpy", "pillow", "torch", "torchvision")


@dataclass(frozen=True, kw_only=True)
class PhotoCount:
    """A photo's lesions."""

    # How many there seem to be; None where a photo is not to be counted, as `note` says.
    count: int | None
    low: int | None = None  # lowest true count that is likely, None without a count model
    high: int | None = None  # highest, included
    # Hayashi's severity, 0 (mild) to 3 (very severe), of `count`; None without a count model for
    # inflammatory lesions on half of the face.
    grade: int | None = None
    # What is counted, as the count model says, such as "all lesions, whole face".
    counted: str | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class CountRule:
    """Which detections count.

    Interval and grade need a threshold that was fitted: with any other one, counts may be wrong by
    a factor, and a grade would claim more than is known.

    Example:
        >>> CountRule(threshold=0.5)([0.9, 0.5, 0.1]).count
        2
    """

    threshold: float = DEFAULT_THRESHOLD  # lowest score that counts, and is drawn
    model: CountModel | None = None  # that fitted the threshold and knows the interval

    def with_probabilities(self, rows: Sequence[Mapping[str, Any]]) -> list[dict]:
        """Say beside each score with which probability a lesion is there, if that was fitted."""
        score_map = self.model and self.model.probability
        if not score_map or not rows:
            return [dict(row) for row in rows]
        values = score_map(np.array([row["score"] for row in rows])).round(4).tolist()
        return [{**row, "probability": value} for row, value in zip(rows, values, strict=True)]

    def may_count(self, traits: Sequence[float] | np.ndarray | None) -> bool:
        """Tell whether a photo with these traits is like those that the count model was made on."""
        domain = self.model and self.model.domain
        return not domain or traits is None or domain.has(np.asarray(traits))

    def __call__(
        self, scores: Iterable[float], traits: Sequence[float] | np.ndarray | None = None
    ) -> PhotoCount:
        """Count one photo by the scores of all its detections, if its traits allow it."""
        if not self.may_count(traits):
            return PhotoCount(count=None, note=UNLIKE)
        count = sum(score >= self.threshold for score in scores)
        if self.model is None:
            return PhotoCount(count=count)
        low, high = self.model.interval(np.array([count]))
        return PhotoCount(
            count=count,
            low=int(low[0]),
            high=int(high[0]),
            grade=hayashi_grade(count) if self.model.has_grade else None,
            counted=self.model.counted,
        )


@dataclass(frozen=True, kw_only=True)
class PhotoResult:
    """What was found in one photo."""

    image_id: int  # from 1
    name: str  # what the outputs call the photo
    image_hw: tuple[int, int]  # its height and width in pixels, upright
    rows: list[dict]  # the detections that count, as COCO results without image_id
    count: PhotoCount  # its lesions
    seconds: float  # of reading and predicting
    photo_size_px: int  # long side at which it was seen
    # Path of each picture in the output folder, by kind.
    files: Mapping[str, str] = field(default_factory=dict)
    below: list[dict] = field(default_factory=list)  # the best of those that do not
    warning: str = ""  # what the reader of its count should know


@dataclass(frozen=True, kw_only=True)
class FailedPhoto:
    """A photo that is left out, as the outputs call it, and why, without its folders."""

    name: str
    reason: str


def rows_of(boxes_xyxy: np.ndarray, scores: np.ndarray, classes: np.ndarray) -> list[dict]:
    """Return one photo's detections as COCO results, without the photo's id.

    Boxes (N, 4) are in pixels of the photo, classes (N,) indices from 0.
    """
    boxes_xywh = np.hstack([boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]])
    columns = zip(classes.tolist(), boxes_xywh.tolist(), scores.tolist(), strict=True)
    return [
        {"category_id": index + FIRST_CATEGORY_ID, "bbox": box, "score": score}
        for index, box, score in columns
    ]


def arrays_of(rows: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes (N, 4) XYXY, scores (N,) and class indices (N,) of one photo's COCO results."""
    boxes_xyxy = np.asarray([row["bbox"] for row in rows], dtype=np.float32).reshape(-1, 4)
    boxes_xyxy[:, 2:] += boxes_xyxy[:, :2]
    # In double precision, so that a threshold takes the same detections here as in the tables.
    scores = np.array([row["score"] for row in rows], dtype=np.float64)
    classes = np.array([row["category_id"] - FIRST_CATEGORY_ID for row in rows], dtype=np.int64)
    return boxes_xyxy, scores, classes


def photo_traits(photo_bgr: np.ndarray) -> np.ndarray:
    """Measure colour and texture of a photo, by which one without skin is told from a face.

    NOT IN PAPER: the whole guard is ours. It looks at the photo alone, (H, W, 3) uint8 of any size,
    so that it is the same for every model and engine.

    Returns:
        (NUM_TRAITS,) float64: of brightness and the two chromas (Y, Cr, Cb) five percentiles, the
        logarithm of the spread, and those of the detail between one blur and the next.
    """
    traits = []
    for channel in y_cr_cb(scale(photo_bgr, TRAIT_PX / max(photo_bgr.shape[:2]))):
        traits += [*np.percentile(channel, PERCENTILES), np.log(channel.std() + 1)]
        sharper = channel
        for blur_px in BLURS_PX:
            blurred = blur(channel, blur_px)
            traits.append(np.log((sharper - blurred).std() + 0.5))
            sharper = blurred
    return np.array(traits, dtype=np.float64)


def versions(packages: Sequence[str] = DECIDING_PACKAGES) -> Mapping[str, str]:
    """Return the versions of acnet and of what computes; "" for packages that pip didn't bring."""
    # cv2 comes from one of several packages, so it is asked itself.
    found = {"acnet": acnet.__version__, "cv2": OPENCV_VERSION}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = ""
    return found


def images_info(merge_name: str, sizing: PhotoSizing, **count: Any) -> dict[str, Any]:
    """Return what images.json says of how photos were seen, and of how lesions were counted."""
    sizes = {"photo_size": sizing.name, "trained_photo_size_px": sizing.size_px}
    return {"merge": merge_name, **sizes, "count": count}


def write_results(
    folder: Path,
    results: Sequence[PhotoResult],
    failed: Sequence[FailedPhoto],
    *,
    rows: Iterable[Mapping[str, Any]],
    class_names: Sequence[str],
    info: Mapping[str, Any],
    bom: bool = False,
) -> None:
    """Write the tables, each whole or not at all.

    Args:
        rows: All detections, below the threshold too, as COCO results; taken one by one, since
            those of ten thousand photos fill the memory.
        info: What else a reader of images.json should know.
        bom: Begin .csv files with a byte order mark, which Excel knows UTF-8 by.
    """
    _write_rows(folder / "predictions.json", rows)
    texts = table_texts(results, failed, class_names=class_names, info=info, bom=bom)
    for name, text in texts.items():
        if text:
            write_text(folder / name, text)
        else:
            (folder / name).unlink(missing_ok=True)


def table_texts(
    results: Sequence[PhotoResult],
    failed: Sequence[FailedPhoto],
    *,
    class_names: Sequence[str],
    info: Mapping[str, Any],
    bom: bool = False,
) -> dict[str, str]:
    """Return all tables but predictions.json, by name; "" for one that is not needed.

    The arguments are those of `write_results`.
    """
    numbered = enumerate(class_names, FIRST_CATEGORY_ID)
    categories = [{"id": index, "name": name} for index, name in numbered]
    images = [
        {
            "id": result.image_id,
            "file_name": result.name,
            "width": result.image_hw[1],
            "height": result.image_hw[0],
            "photo_size_px": result.photo_size_px,
            "has_count": result.count.count is not None,
            **({"copy": result.files["photo"]} if "photo" in result.files else {}),
        }
        for result in results
    ]
    content = {"info": dict(info), "images": images, "categories": categories}
    warnings = [(result.name, result.warning) for result in results if result.warning]
    tables = {
        "counts.csv": [COUNTS_HEADER, *map(_count_row, results)],
        "lesions.csv": [LESIONS_HEADER, *_lesion_rows(results, class_names)],
        "failed.csv": [FAILED_HEADER, *map(dataclasses.astuple, failed)] if failed else [],
        "warnings.csv": [WARNINGS_HEADER, *warnings] if warnings else [],
    }
    texts = {name: csv_text(table, bom=bom) if table else "" for name, table in tables.items()}
    return {"images.json": json_text(content), **texts}


def _lesion_rows(results: Sequence[PhotoResult], class_names: Sequence[str]) -> Iterator[tuple]:
    for result in results:
        for row in result.rows:
            name = class_names[row["category_id"] - FIRST_CATEGORY_ID]
            yield (result.name, *row["bbox"], name, row["score"], row.get("probability"))


def _write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write("[")
        for index, row in enumerate(rows):
            file.write((",\n" if index else "\n") + json.dumps(row, allow_nan=False))
        file.write("\n]\n")
        file.flush()
        os.fsync(file.fileno())


def _count_row(result: PhotoResult) -> tuple:
    count = result.count  # csv writes None as an empty cell
    return (
        *(result.name, count.count, count.low, count.high, count.grade, count.counted, count.note),
        *(f"{result.seconds:.2f}", result.photo_size_px),
    )
