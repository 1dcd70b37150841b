"""What prediction leaves behind for other programs: COCO files and tables.

predictions.json   COCO results: one row a detection, all scores, in the photos' own pixels
images.json        what the ids in it mean: COCO's `images` and `categories`
counts.csv         photo, lesions, between which limits, grade, seconds
failed.csv         photos that could not be read, with the reason; only where there are any
"""

import csv
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.structures import Boxes, BoxMode, Instances

from acnet.files import atomic_write, write_json
from acnet.inference.counts import PhotoCount

FIRST_CATEGORY_ID = 1  # 0 breaks pycocotools' matching
COUNTS_HEADER = ("photo", "count", "low", "high", "grade", "seconds")
FAILED_HEADER = ("photo", "reason")


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


def rows_of(instances: Instances) -> list[dict]:
    """Return one photo's detections as COCO results, without the photo's id.

    Args:
        instances: In pixels of the photo, on the CPU.

    Returns:
        Rows of category_id (from 1), bbox (x, y, width, height) and score.
    """
    rows = instances_to_coco_json(instances, 0)
    return [
        {
            "category_id": row["category_id"] + FIRST_CATEGORY_ID,
            "bbox": row["bbox"],
            "score": row["score"],
        }
        for row in rows
    ]


def instances_of(rows: Sequence[Mapping[str, Any]], image_hw: tuple[int, int]) -> Instances:
    """Return COCO results of one photo as detectron2 has them.

    Args:
        rows: With category_id, bbox and score.
        image_hw: Of the photo.
    """
    boxes_xywh = np.asarray([row["bbox"] for row in rows], dtype=np.float32).reshape(-1, 4)
    boxes_xyxy = BoxMode.convert(boxes_xywh, BoxMode.XYWH_ABS, BoxMode.XYXY_ABS)
    instances = Instances(image_hw)
    instances.pred_boxes = Boxes(torch.as_tensor(boxes_xyxy))
    # In double precision, so that a threshold takes the same detections here as in the tables.
    instances.scores = torch.tensor([row["score"] for row in rows], dtype=torch.float64)
    instances.pred_classes = torch.tensor(
        [row["category_id"] - FIRST_CATEGORY_ID for row in rows], dtype=torch.int64
    )
    return instances


def write_results(
    folder: Path,
    results: Sequence[PhotoResult],
    failed: Sequence[FailedPhoto],
    *,
    rows: Iterable[Mapping[str, Any]],
    class_names: Sequence[str],
    info: Mapping[str, Any],
) -> None:
    """Write the files, each whole or not at all.

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
        *(result.name, count.count, count.low, count.high, count.grade),
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
