"""What prediction leaves behind: a file for each photo, to go on from, and tables of all of them.

.parts/KEY.json         what was found in a photo, and which pictures show it
.parts/KEY.failed.json  why a photo cannot be read; tried again by the next run
predictions.json        COCO results: one row a detection, all scores, in the photos' own pixels
images.json             what the ids in it mean: COCO's `images` and `categories`
counts.csv              photo, lesions, between which limits, grade, what is counted, seconds
failed.csv              photos that could not be read, with the reason; only where there are any

Each file appears whole or not at all, a photo's after the pictures that it names: a kill at any
moment loses the photo under way. KEY is a hash of everything that decides the result, so that a
changed photo, config, weight or option is never taken for the old one.
"""

import csv
import dataclasses
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

import acnet
from acnet.files import atomic_write, write_json
from acnet.photos.count import PhotoCount
from acnet.photos.sources import Source

FORMAT = 1  # raise it when the meaning of a photo's file changes
PARTS = ".parts"
PICTURE_FOLDERS = ("pictures", "thumbnails", "attention", "schematics", "crops")
FIRST_CATEGORY_ID = 1  # 0 breaks pycocotools' matching
COUNTS_HEADER = ("photo", "count", "low", "high", "grade", "counted", "seconds")
FAILED_HEADER = ("photo", "reason")
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
        count: Its lesions.
        seconds: Of reading and predicting.
        files: Path of each picture in the output folder, by kind.
    """

    image_id: int
    name: str
    image_hw: tuple[int, int]
    rows: list[dict]
    count: PhotoCount
    seconds: float
    files: Mapping[str, str] = field(default_factory=dict)


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


@dataclass(frozen=True, kw_only=True)
class Part:
    """One photo's result, as it is kept to go on from.

    Args:
        image_hw: Its height and width in pixels, upright.
        rows: Its detections as COCO results, without the photo's id.
        seconds: Of reading and predicting.
        drawn: Hash of the options that its pictures were drawn with.
        files: Path of each picture in the output folder, by kind.
    """

    image_hw: tuple[int, int]
    rows: list[dict]
    seconds: float
    drawn: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


class PartStore:
    """The photos' files in an output folder."""

    def __init__(self, output: Path):
        self.output = output
        self.folder = output / PARTS

    def read(self, key: str) -> Part | None:
        """Return a photo's part; None where there is none that can be used."""
        try:
            content = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
            return None
        if content.keys() != {field.name for field in dataclasses.fields(Part)}:
            return None
        if not all(_is_picture(file) for file in content["files"].values()):
            return None
        return Part(**{**content, "image_hw": tuple(content["image_hw"])})

    def write(self, key: str, part: Part) -> None:
        """Write a photo's part, once its pictures are there."""
        write_json(self._path(key), {"format": FORMAT, **dataclasses.asdict(part)})

    def has(self, key: str, drawn: str) -> bool:
        """Tell whether a photo is finished, with its pictures drawn as wanted."""
        part = self.read(key)
        files = () if part is None else part.files.values()
        is_drawn = part is not None and part.drawn == drawn
        return is_drawn and all((self.output / file).is_file() for file in files)

    def write_failure(self, key: str, reason: str) -> None:
        """Keep why a photo is left out."""
        write_json(self._failure(key), {"reason": reason})

    def read_failure(self, key: str) -> str | None:
        """Return why a photo is left out; None where it is not."""
        try:
            return json.loads(self._failure(key).read_text(encoding="utf-8"))["reason"]
        except FileNotFoundError:
            return None

    def forget_failures(self) -> None:
        """Let photos that could not be read be tried again."""
        for path in self.folder.glob("*.failed.json"):
            path.unlink(missing_ok=True)

    def keep_only(self, keys: set[str]) -> None:
        """Remove the parts of other runs, and pictures that no part of these keys names."""
        names = (path.name for path in self.folder.glob("*.json"))
        stored = sorted(name[:-5] for name in names if not name.endswith(".failed.json"))
        needed = {file for key in keys if (part := self.read(key)) for file in part.files.values()}
        for key in stored:
            if key in keys:
                continue
            part = self.read(key)
            for file in set(part.files.values()) - needed if part else ():
                (self.output / file).unlink(missing_ok=True)
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _failure(self, key: str) -> Path:
        return self.folder / f"{key}.failed.json"


def _is_picture(file: str) -> bool:
    """Whether a name leads to a picture of the output, since what it names may be removed."""
    parts = PurePosixPath(file).parts
    return len(parts) == 2 and parts[0] in PICTURE_FOLDERS and parts[1] != ".."


def write_results(
    folder: Path,
    results: Sequence[PhotoResult],
    failed: Sequence[FailedPhoto],
    *,
    rows: Iterable[Mapping[str, Any]],
    class_names: Sequence[str],
    info: Mapping[str, Any],
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
        }
        for result in results
    ]
    content = {"info": dict(info), "images": images, "categories": categories}
    write_json(folder / "images.json", content)
    _write_csv(folder / "counts.csv", COUNTS_HEADER, map(_count_row, results))
    if failed:
        _write_csv(folder / "failed.csv", FAILED_HEADER, map(dataclasses.astuple, failed))
    else:
        (folder / "failed.csv").unlink(missing_ok=True)


def _write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write("[")
        for index, row in enumerate(rows):
            file.write((",\n" if index else "\n") + json.dumps(row, allow_nan=False))
        file.write("\n]\n")


def _count_row(result: PhotoResult) -> tuple:
    count = result.count  # csv writes None as an empty cell
    return (
        *(result.name, count.count, count.low, count.high, count.grade, count.counted),
        f"{result.seconds:.2f}",
    )


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
