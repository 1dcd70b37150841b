"""Small COCO files and columns for tests, written by hand."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from acnet.evaluation import (
    Detections,
    GroundTruth,
    Matches,
    detections_from_rows,
    ground_truth_from_coco,
    match,
    sort_detections,
)


def images_of(names: Sequence[str], ids: Sequence[int] | None = None, side: int = 320) -> list:
    """Return COCO's `images` of square photos, with ids from 1 unless others are given."""
    ids = ids or range(1, len(names) + 1)
    return [
        {"id": image_id, "file_name": name, "width": side, "height": side}
        for image_id, name in zip(ids, names, strict=True)
    ]


def write_truth(path: Path, truth: GroundTruth) -> Path:
    """Write columns of one class, as `truth_of` makes them, as a COCO file of annotations."""
    ids = truth.image_ids[truth.photo].tolist()
    columns = (ids, truth.boxes_xywh.tolist(), truth.crowd.astype(int).tolist())
    names = ("image_id", "bbox", "iscrowd")
    lesions = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    images = images_of(truth.file_names, truth.image_ids.tolist())
    return write(path, content_of(lesions) | {"images": images})


def write_predictions(path: Path, detections: Detections, image_ids: Sequence[int]) -> Path:
    """Write columns of one class as COCO results, with the id of each photo."""
    ids = np.asarray(image_ids)[detections.photo].tolist()
    columns = (detections.boxes_xywh.tolist(), detections.scores.tolist(), ids)
    return write(path, [row_of(*row) for row in zip(*columns, strict=True)])


def write(path: Path, content: object) -> Path:
    """Write text, or anything else as JSON, and return where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def content_of(
    lesions: Sequence, *, num_photos: int = 1, class_names: Sequence[str] = ("acne",)
) -> dict:
    """Return the content of a COCO file.

    A lesion is an XYWH box in photo 1 and of class 1, or what its annotation says beside that.
    """
    one = {"image_id": 1, "category_id": 1}
    return {
        "images": images_of([f"{i}.jpg" for i in range(1, num_photos + 1)], side=640),
        "categories": [{"id": k, "name": name} for k, name in enumerate(class_names, start=1)],
        "annotations": [
            one | {"id": i} | (lesion if isinstance(lesion, dict) else {"bbox": lesion})
            for i, lesion in enumerate(lesions, start=1)
        ],
    }


def row_of(box: Sequence[float], score: float, image_id: int = 1, category_id: int = 1) -> dict:
    """Return a row of COCO results."""
    return {"image_id": image_id, "category_id": category_id, "bbox": box, "score": score}


def match_rows(content: dict, rows: list[dict], **options) -> Matches:
    """Match COCO's dictionaries."""
    ground_truth = ground_truth_from_coco(content)
    return match(ground_truth, detections_from_rows(rows, ground_truth), **options)


def match_lesions(
    lesions: Sequence, found: Sequence[tuple], *, num_photos: int = 1, **options
) -> Matches:
    """Match lesions, as `content_of` takes them, with detections, each the values of `row_of`."""
    content = content_of(lesions, num_photos=num_photos)
    return match_rows(content, [row_of(*one) for one in found], **options)


def truth_of(photo: Sequence[int], boxes: Sequence, num_photos: int, crowd=None) -> GroundTruth:
    """Return columns of XYWH boxes of one class in photos of 320 x 320 pixels."""
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    return GroundTruth(
        image_ids=np.arange(1, num_photos + 1),
        file_names=tuple(f"{index:05d}.jpg" for index in range(num_photos)),
        image_hw=np.full((num_photos, 2), 320),
        category_ids=np.array([1]),
        class_names=("acne",),
        photo=np.asarray(photo, dtype=np.int32),
        classes=np.zeros(len(boxes), np.int32),
        boxes_xywh=boxes,
        areas=boxes[:, 2] * boxes[:, 3],
        crowd=np.zeros(len(boxes), bool) if crowd is None else np.asarray(crowd, dtype=bool),
        difficult=np.zeros(len(boxes), bool),
    )


def detections_of(photo: Sequence[int], scores: Sequence[float], boxes=None) -> Detections:
    """Return sorted columns of one class, of XYWH boxes that are empty unless given."""
    rows = len(photo)
    return sort_detections(
        photo=np.asarray(photo, dtype=np.int32),
        classes=np.zeros(rows, np.int32),
        boxes_xywh=np.zeros((rows, 4)) if boxes is None else boxes,
        scores=np.asarray(scores, dtype=np.float64),
    )


def repeat_photos(
    truth: GroundTruth, detections: Detections, weights: np.ndarray
) -> tuple[GroundTruth, Detections]:
    """Write out photos as often as their weights say, the copies beside each other."""
    copies = np.repeat(np.arange(truth.num_photos), weights)

    def repeated(columns: GroundTruth | Detections, *names: str) -> dict[str, np.ndarray]:
        rows = [np.flatnonzero(columns.photo == photo) for photo in copies]
        photo = np.repeat(np.arange(len(copies), dtype=np.int32), [len(one) for one in rows])
        return {"photo": photo, **{n: getattr(columns, n)[np.concatenate(rows)] for n in names}}

    truth_again = dataclasses.replace(
        truth,
        image_ids=np.arange(len(copies)),
        file_names=tuple(map(str, range(len(copies)))),
        image_hw=truth.image_hw[copies],
        **repeated(truth, "classes", "boxes_xywh", "areas", "crowd", "difficult"),
    )
    return truth_again, sort_detections(**repeated(detections, "classes", "boxes_xywh", "scores"))
