"""Small data sets by chance, and what pycocotools says of them."""

import contextlib
import copy
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.evaluation.coco_content import images_of, row_of


def random_boxes(rng: np.random.Generator, number: int) -> list[list[float]]:
    """Return XYWH boxes of all of COCO's sizes, half of them on a grid of 8 pixels."""
    boxes = np.concatenate(
        [rng.uniform(0, 300, (number, 2)), np.exp(rng.uniform(1, 5.3, (number, 2)))], axis=1
    )
    on_grid = rng.random(number) < 0.5
    boxes[on_grid] = (boxes[on_grid] / 8).round() * 8  # some are flat, many overlap by a half
    return boxes.tolist()


def random_set(
    seed: int, *, num_photos: int = 8, num_classes: int = 3, lesions: int = 12
) -> tuple[dict, list[dict]]:
    """Make the content of a COCO file with ids that have gaps, and rows of results.

    There are crowds, ties in score and in IoU, boxes on each other, boxes without area, and photos
    without lesions, detections or both. A photo has at most `lesions`; the last of several classes
    is never annotated.
    """
    rng = np.random.default_rng(seed)
    image_ids = (rng.permutation(num_photos * 3)[:num_photos] + 1).tolist()
    category_ids = (rng.permutation(num_classes * 2)[:num_classes] + 1).tolist()
    annotated = category_ids[: max(1, num_classes - 1)]
    annotations, results = [], []
    for image_id in image_ids:
        found = []
        for box in random_boxes(rng, int(rng.integers(0, lesions + 1)) * (rng.random() > 0.2)):
            category_id = int(rng.choice(annotated))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category_id,
                    "bbox": box,
                    "area": box[2] * box[3] * float(rng.choice([1.0, 0.8])),
                    "iscrowd": int(rng.random() < 0.15),
                }
            )
            for _ in range(rng.integers(0, 4)):
                is_right = rng.random() < 0.8
                found.append((jittered(rng, box), category_id if is_right else None))
        found += [(box, None) for box in random_boxes(rng, int(rng.integers(0, 6)))]
        for box, category_id in found if rng.random() > 0.15 else []:
            category_id = category_id or int(rng.choice(category_ids))
            results.append(row_of(box, float(rng.integers(1, 20)) / 20, image_id, category_id))
    rng.shuffle(annotations)
    rng.shuffle(results)
    images = images_of([f"{image_id}.jpg" for image_id in image_ids], image_ids, side=640)
    names = ("papule", "pustule", "nodule")
    categories = [{"id": i, "name": n} for i, n in zip(category_ids, names, strict=False)]
    return {"images": images, "annotations": annotations, "categories": categories}, results


def jittered(rng: np.random.Generator, box: list[float]) -> list[float]:
    """Return the box itself, or one that overlaps it by whole shares, or one near to it."""
    x, y, w, h = box
    if rng.random() < 2 / 3:
        return [x, y, w * float(rng.choice([0.5, 0.75, 1.0, 1.0])), h]
    dx, dy, scale = rng.normal(0, 0.1), rng.normal(0, 0.1), np.exp(rng.normal(0, 0.2))
    return [float(v) for v in (x + dx * w, y + dy * h, w * scale, h * scale)]


def run_pycocotools(
    content: dict, results: list[dict], *, caps: list[int], area_ranges: list[list[float]]
) -> COCOeval:
    """Evaluate with the reference, which wants at least one row of results.

    Its `precision` has the shape (T, 101, K, A, M) and its `recall` (T, K, A, M), with A ranges of
    areas and M caps.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(content)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(results)), "bbox")
        evaluation.params.maxDets = caps
        evaluation.params.areaRng = area_ranges
        evaluation.params.areaRngLbl = [str(index) for index in range(len(area_ranges))]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation
