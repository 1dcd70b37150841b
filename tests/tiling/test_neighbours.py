"""Overlapping pairs, against all pairs."""

import numpy as np
import pytest

from acnet.tiling import neighbours
from acnet.tiling.neighbours import find_neighbours
from tests.tiling.samples import random_case


def all_pairs(boxes, classes, above_iou, tiles) -> dict[tuple[int, int], float]:
    found = {}
    for i, one in enumerate(boxes.astype(np.float64)):
        for j, other in enumerate(boxes.astype(np.float64)):
            sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
            shared = sides.clip(min=0).prod()
            both = (one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - shared
            apart = i == j or classes[i] != classes[j]
            apart |= tiles is not None and tiles[i] == tiles[j]
            if not apart and both > 0 and shared / both > above_iou:
                found[i, j] = shared / both
    return found


@pytest.mark.parametrize("pairs_at_once", [1, 50, 10**6])
@pytest.mark.parametrize("across_tiles", [True, False])
@pytest.mark.parametrize("above_iou", [0.0, 0.5])
def test_same_as_all_pairs(monkeypatch, above_iou, across_tiles, pairs_at_once):
    monkeypatch.setattr(neighbours, "PAIRS_AT_ONCE", pairs_at_once)
    found, _, _ = random_case(3, count=80)
    tiles = found.tiles if across_tiles else None
    expected = all_pairs(found.boxes_xyxy, found.classes, above_iou, tiles)
    rows = find_neighbours(found.boxes_xyxy, found.classes, above_iou=above_iou, tiles=tiles)
    answer = {
        (i, int(j)): iou
        for i in range(len(found))
        for j, iou in zip(
            rows.others[rows.starts[i] : rows.starts[i + 1]],
            rows.ious[rows.starts[i] : rows.starts[i + 1]],
            strict=True,
        )
    }
    assert len(expected) > 20
    assert answer == pytest.approx(expected, abs=1e-6)
    assert list(answer) == sorted(answer)


def test_boxes_without_area_overlap_nothing():
    boxes = np.array([[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 9, 9]], np.float32)
    rows = find_neighbours(boxes, np.zeros(3), above_iou=0.0, tiles=None)
    assert rows.others.tolist() == []


def test_no_boxes():
    rows = find_neighbours(np.empty((0, 4)), np.empty(0), above_iou=0.5, tiles=None)
    assert rows.starts.tolist() == [0]
    assert rows.others.shape == rows.ious.shape == (0,)
