"""Small COCO files for tests, written by hand."""

import json
from collections.abc import Sequence
from pathlib import Path

from acnet.evaluation.columns import Detections, GroundTruth


def images_of(names: Sequence[str], ids: Sequence[int] | None = None, side: int = 320) -> list:
    """Return COCO's `images` of square photos, with ids from 1 unless others are given."""
    ids = ids or range(1, len(names) + 1)
    return [
        {"id": image_id, "file_name": name, "width": side, "height": side}
        for image_id, name in zip(ids, names, strict=True)
    ]


def write_truth(path: Path, truth: GroundTruth) -> Path:
    """Write columns as a COCO file of annotations."""
    annotations = [
        {
            "id": index + 1,
            "image_id": int(truth.image_ids[truth.photo[index]]),
            "category_id": int(truth.category_ids[truth.classes[index]]),
            "bbox": truth.boxes_xywh[index].tolist(),
            "area": float(truth.areas[index]),
            "iscrowd": int(truth.crowd[index]),
        }
        for index in range(len(truth))
    ]
    categories = [
        {"id": int(category_id), "name": name}
        for category_id, name in zip(truth.category_ids, truth.class_names, strict=True)
    ]
    images = images_of(truth.file_names, truth.image_ids.tolist())
    content = {"images": images, "annotations": annotations, "categories": categories}
    return write(path, content)


def write_predictions(path: Path, detections: Detections, image_ids: Sequence[int]) -> Path:
    """Write columns as COCO results, with the id of each photo."""
    rows = [
        {
            "image_id": int(image_ids[photo]),
            "category_id": int(class_index) + 1,
            "bbox": box,
            "score": score,
        }
        for photo, class_index, box, score in zip(
            detections.photo,
            detections.classes,
            detections.boxes_xywh.tolist(),
            detections.scores.tolist(),
            strict=True,
        )
    ]
    return write(path, rows)


def write(path: Path, content: object) -> Path:
    """Write JSON, and return where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
