"""Toy photos' lesions and a simulated detector that misses, duplicates and invents some."""

import numpy as np

from acnet.data.toy import lesions
from acnet.evaluation.columns import Detections, GroundTruth, sort_detections

SIDE_PX = 320


def simulate(num_photos: int, *, seed: int, skill: float = 1.0) -> tuple[GroundTruth, Detections]:
    """Draw the boxes of toy photos, and what a detector makes of them.

    Each photo is more or less easy. A lesion gets a score that is higher in easy photos; a quarter
    of the lesions has a second, shifted box; and photos have false positives with low scores, more
    where the photo is hard. All scores are kept, as a detector's file keeps them.

    Args:
        num_photos: P.
        seed: Of everything.
        skill: How far the scores of lesions lie above those of false positives.

    Returns:
        Ground truth and detections of P photos.
    """
    rng = np.random.default_rng(seed)
    true, found = [], []
    for photo in range(num_photos):
        boxes = _toy_boxes(rng)
        true.append(np.column_stack([np.full(len(boxes), photo), boxes]))
        found.append(_detect(rng, photo, boxes, skill))
    return _truth(np.concatenate(true), num_photos), _detections(np.concatenate(found))


def _toy_boxes(rng: np.random.Generator) -> np.ndarray:
    """Return (N, 4) x, y, width, height, as `draw_photo` places lesions, without painting them."""
    count = lesions.sample_count(rng, 1.0)
    diameters = lesions.sample_diameters(rng, count, (6.0, 80.0), 1.0)
    placed = lesions.place_lesions(rng, (SIDE_PX, SIDE_PX), diameters)
    boxes = np.array([lesion.blob.box_xyxy() for lesion in placed], np.float64).reshape(-1, 4)
    return np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


def _detect(rng: np.random.Generator, photo: int, boxes: np.ndarray, skill: float) -> np.ndarray:
    """Return (M, 6): photo, x, y, width, height, score."""
    ease = rng.normal(0, 0.5)
    doubled = boxes[rng.uniform(size=len(boxes)) < 0.25]
    invented = rng.poisson(6 * np.exp(-ease))
    corners = rng.uniform(0, SIDE_PX - 40, size=(invented, 2))
    parts = [
        (_jitter(rng, boxes, 0.06), 1.2 * skill + ease),
        (_jitter(rng, doubled, 0.25), -1.5),
        (np.column_stack([corners, rng.uniform(6, 40, size=(invented, 2))]), -1.2 * skill),
    ]
    rows = []
    for shapes, logit in parts:
        scores = 1 / (1 + np.exp(-rng.normal(logit, 1.0, size=len(shapes))))
        rows.append(np.column_stack([np.full(len(shapes), photo), shapes, scores]))
    return np.concatenate(rows)


def _jitter(rng: np.random.Generator, boxes: np.ndarray, share: float) -> np.ndarray:
    sizes = boxes[:, [2, 3, 2, 3]]
    moved = boxes + rng.normal(0, share, size=boxes.shape) * sizes
    moved[:, 2:] = np.maximum(moved[:, 2:], 1)
    return moved


def _truth(rows: np.ndarray, num_photos: int) -> GroundTruth:
    return GroundTruth(
        image_ids=np.arange(1, num_photos + 1),
        file_names=tuple(f"{index:05d}.jpg" for index in range(num_photos)),
        image_hw=np.full((num_photos, 2), SIDE_PX),
        category_ids=np.array([1]),
        class_names=("acne",),
        photo=rows[:, 0].astype(np.int32),
        classes=np.zeros(len(rows), np.int32),
        boxes_xywh=rows[:, 1:],
        areas=rows[:, 3] * rows[:, 4],
        crowd=np.zeros(len(rows), bool),
        difficult=np.zeros(len(rows), bool),
    )


def _detections(rows: np.ndarray) -> Detections:
    return sort_detections(
        photo=rows[:, 0],
        classes=np.zeros(len(rows)),
        boxes_xywh=rows[:, 1:5],
        scores=rows[:, 5],
    )
