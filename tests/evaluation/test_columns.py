"""Columns: their order, their boxes, their size ranges."""

import numpy as np
import pytest

from acnet.evaluation import lesion_ranges, sort_detections, xyxy_to_xywh


def test_detections_are_sorted_by_photo_then_score_and_ties_stay():
    detections = sort_detections(
        photo=np.array([1, 0, 0, 0]),
        classes=np.array([0, 1, 2, 3]),
        boxes_xywh=np.arange(16).reshape(4, 4),
        scores=np.array([0.9, 0.5, 0.5, 0.7]),
    )
    assert detections.photo.tolist() == [0, 0, 0, 1]
    assert detections.classes.tolist() == [3, 1, 2, 0]
    assert detections.boxes_xyxy[0].tolist() == [12, 13, 12 + 14, 13 + 15]
    assert xyxy_to_xywh(detections.boxes_xyxy).tolist() == detections.boxes_xywh.tolist()
    assert detections.counts(3, score_threshold=0.6).tolist() == [1, 1, 0]


def test_lesion_ranges_leave_no_gap():
    ranges = lesion_ranges([8, 24])
    assert [size.suffix for size in ranges] == ["[0-8px]", "[8-24px]", "[24px-]"]
    areas = np.array([0.0, 63.999, 64.0, 575.999, 576.0, 1e9])
    inside = np.stack([~size.excludes(areas) for size in ranges])
    assert inside.sum(axis=0).tolist() == [1] * 6
    assert inside.argmax(axis=0).tolist() == [0, 0, 1, 1, 2, 2]
    for edges in ([0, 8], [8, 8], [16, 8]):
        with pytest.raises(ValueError, match="must be positive and rise"):
            lesion_ranges(edges)
