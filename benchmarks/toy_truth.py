"""Generated photos with their lesions, as the evaluation takes them."""

from collections.abc import Sequence

import numpy as np

from acnet.evaluation import Detections, GroundTruth, sort_detections, xyxy_to_xywh


def ground_truth_of(photos: Sequence[tuple[tuple[int, int], np.ndarray]]) -> GroundTruth:
    """Puts the lesions of photos into columns.

    Args:
        photos: (height, width) and (G, 4) corners of the lesions, in the order of the ids, from 1.
    """
    boxes = xyxy_to_xywh(np.concatenate([boxes for _, boxes in photos]).astype(np.float64))
    counts = [len(boxes) for _, boxes in photos]
    nothing = np.zeros(len(boxes), bool)
    return GroundTruth(
        image_ids=np.arange(1, len(photos) + 1),
        file_names=tuple(f"{index}.jpg" for index in range(1, len(photos) + 1)),
        image_hw=np.array([image_hw for image_hw, _ in photos]),
        category_ids=np.array([1]),
        class_names=("acne",),
        photo=np.repeat(np.arange(len(photos), dtype=np.int32), counts),
        classes=np.zeros(len(boxes), np.int32),
        boxes_xywh=boxes,
        areas=boxes[:, 2] * boxes[:, 3],
        crowd=nothing,
        difficult=nothing,
    )


def detections_of(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> Detections:
    """Puts the detections of photos into columns.

    Args:
        found: for each photo (N, 4) corners in pixels and (N,) scores.
    """
    boxes = np.concatenate([boxes.reshape(-1, 4) for boxes, _ in found]).astype(np.float64)
    return sort_detections(
        photo=np.repeat(np.arange(len(found)), [len(scores) for _, scores in found]),
        classes=np.zeros(len(boxes)),
        boxes_xywh=xyxy_to_xywh(boxes),
        scores=np.concatenate([scores for _, scores in found]),
    )
