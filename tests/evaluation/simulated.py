"""Toy photos' lesions and a simulated detector that misses, duplicates and invents some."""

import numpy as np

from acnet.data.toy import lesions
from acnet.evaluation.columns import Detections, GroundTruth
from tests.evaluation.coco_content import detections_of, truth_of

SIDE_PX = 320


def simulate(num_photos: int, *, seed: int, skill: float = 1.0) -> tuple[GroundTruth, Detections]:
    """Draw the boxes of toy photos, and what a detector makes of them.

    Each photo is more or less easy. A lesion gets a score that is higher in easy photos; a quarter
    of the lesions has a second, shifted box; and photos have false positives with low scores, more
    where the photo is hard. All scores are kept, as a detector's file keeps them.

    `skill` is how far the scores of lesions lie above those of false positives.
    """
    rng = np.random.default_rng(seed)
    true, found = [], []
    for photo in range(num_photos):
        boxes = _toy_boxes(rng)
        true.append(np.column_stack([np.full(len(boxes), photo), boxes]))
        found.append(_detect(rng, photo, boxes, skill))
    true, found = np.concatenate(true), np.concatenate(found)
    truth = truth_of(true[:, 0], true[:, 1:], num_photos)
    return truth, detections_of(found[:, 0], found[:, 5], found[:, 1:5])


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
