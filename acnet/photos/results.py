"""What prediction found in photos, tables of it, and the hashes that tell what decides it.

predictions.json        COCO results: one row a detection, all scores, in the photos' own pixels
images.json             what the ids in it mean: COCO's `images` and `categories`
counts.csv              photo, lesions, between which limits, grade, what is counted, seconds
lesions.csv             a row for each lesion that counts: where it is, and how probable
failed.csv              photos that could not be read, with the reason; only where there are any
warnings.csv            photos that were read, though not all is well; only where there are any
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import acnet
from acnet.files import atomic_write, write_csv, write_json
from acnet.photos.count import PhotoCount
from acnet.photos.sources import Source

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
DECIDING_PACKAGES = ("numpy", "pillow", "torch", "torchvision")
ENDS_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class PhotoResult:
    """What was found in one photo.

    Args:
        image_id: From 1.
        name: What the outputs call the photo.
        image_hw: Its height and width in pixels, upright.
        rows: The detections that count, as COCO results without image_id.
        below: The best of those that do not.
        count: Its lesions.
        seconds: Of reading and predicting.
        photo_size_px: Long side at which it was seen.
        files: Path of each picture in the output folder, by kind.
        warning: What the reader of its count should know.
    """

    image_id: int
    name: str
    image_hw: tuple[int, int]
    rows: list[dict]
    count: PhotoCount
    seconds: float
    photo_size_px: int
    files: Mapping[str, str] = field(default_factory=dict)
    below: list[dict] = field(default_factory=list)
    warning: str = ""


@dataclass(frozen=True, kw_only=True)
class FailedPhoto:
    """A photo that is left out.

    Args:
        name: What the outputs call it.
        reason: Why, without the folders that it is in.
    """

    name: str
    reason: str


def rows_of(boxes_xyxy: np.ndarray, scores: np.ndarray, classes: np.ndarray) -> list[dict]:
    """Return one photo's detections as COCO results, without the photo's id.

    Args:
        boxes_xyxy: (N, 4) float32 in pixels of the photo.
        scores: (N,).
        classes: (N,) indices from 0.

    Returns:
        Rows of category_id (from 1), bbox (x, y, width, height) and score.
    """
    sizes = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    boxes_xywh = np.concatenate([boxes_xyxy[:, :2], sizes], axis=1)
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


def digest(content: Any) -> str:
    """Return a hash, 32 hexadecimal digits, of numbers, texts, and lists and mappings of them.

    Classes and functions stand for their names.
    """
    text = json.dumps(content, sort_keys=True, default=_name)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _name(value: Any) -> str:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)


def photo_digest(source: Source) -> str:
    """Return a hash that changes when a photo changes, without reading large photos whole.

    It is that of its name, size, time of change, and first and last 64 KiB; the photo need not be
    readable.
    """
    try:
        status = source.path.stat()
        with source.path.open("rb") as file:
            first = file.read(ENDS_BYTES)
            file.seek(max(0, status.st_size - ENDS_BYTES))
            ends = hashlib.sha256(first + file.read(ENDS_BYTES)).hexdigest()
    except OSError as error:
        return digest([source.stem, error.errno])
    return digest([source.stem, status.st_size, status.st_mtime_ns, ends])


def versions(packages: Sequence[str] = DECIDING_PACKAGES) -> Mapping[str, str]:
    """Return the versions of acnet and of what computes; "" for packages that pip didn't bring."""
    # cv2 comes from one of several packages, so it is asked itself.
    found = {"acnet": acnet.__version__, "cv2": cv2.__version__}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = ""
    return found


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
        folder: Where to.
        results: Of the photos that could be read.
        failed: Of the others.
        rows: All detections, below the threshold too, as COCO results; taken one by one, since
            those of ten thousand photos fill the memory.
        class_names: By class index.
        info: What else a reader of images.json should know.
        bom: Begin .csv files with a byte order mark, which Excel knows UTF-8 by.
    """
    _write_rows(folder / "predictions.json", rows)
    categories = [
        {"id": index, "name": name} for index, name in enumerate(class_names, FIRST_CATEGORY_ID)
    ]
    images = [
        {
            "id": result.image_id,
            "file_name": result.name,
            "width": result.image_hw[1],
            "height": result.image_hw[0],
            "photo_size_px": result.photo_size_px,
        }
        for result in results
    ]
    content = {"info": dict(info), "images": images, "categories": categories}
    write_json(folder / "images.json", content)
    tables = {
        "counts.csv": [COUNTS_HEADER, *map(_count_row, results)],
        "lesions.csv": [LESIONS_HEADER, *_lesion_rows(results, class_names)],
        "failed.csv": [FAILED_HEADER, *map(dataclasses.astuple, failed)],
        "warnings.csv": [
            WARNINGS_HEADER,
            *((result.name, result.warning) for result in results if result.warning),
        ],
    }
    for name, table in tables.items():
        if len(table) > 1 or name in ("counts.csv", "lesions.csv"):
            write_csv(folder / name, table, bom=bom)
        else:
            (folder / name).unlink(missing_ok=True)


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
