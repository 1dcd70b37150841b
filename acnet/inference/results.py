"""What prediction leaves behind for other programs: COCO files and a table of counts.

predictions.json   COCO results: one row a detection, all scores, in the photos' own pixels
images.json        what the ids in it mean: COCO's `images` and `categories`
counts.csv         photo, lesions at or above the threshold, seconds
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.structures import Instances

from acnet.data.files import atomic_write, write_json

FIRST_CATEGORY_ID = 1  # 0 breaks pycocotools' matching


@dataclass(frozen=True, kw_only=True)
class PhotoResult:
    """What was found in one photo.

    Args:
        image_id: From 1.
        name: What the outputs call the photo.
        image_hw: Its height and width in pixels, upright.
        rows: Its detections as COCO results.
        count: Lesions at or above the threshold.
        seconds: Of reading and predicting.
    """

    image_id: int
    name: str
    image_hw: tuple[int, int]
    rows: list[dict]
    count: int
    seconds: float


def coco_rows(instances: Instances, image_id: int) -> list[dict]:
    """Return detections as COCO results.

    Args:
        instances: In pixels of the photo, on the CPU.
        image_id: Of the photo.

    Returns:
        Rows of image_id, category_id (from 1), bbox (x, y, width, height) and score.
    """
    rows = instances_to_coco_json(instances, image_id)
    return [{**row, "category_id": row["category_id"] + FIRST_CATEGORY_ID} for row in rows]


def write_results(folder: Path, results: Sequence[PhotoResult], class_names: Sequence[str]) -> None:
    """Write the three files, each whole or not at all.

    Args:
        folder: Where to.
        results: Of the photos that could be read.
        class_names: By class index.
    """
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
    write_json(folder / "predictions.json", [row for result in results for row in result.rows])
    write_json(folder / "images.json", {"images": images, "categories": categories})
    with (
        atomic_write(folder / "counts.csv") as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "lesions", "seconds"])
        writer.writerows([r.name, r.count, f"{r.seconds:.2f}"] for r in results)
