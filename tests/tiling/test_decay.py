"""NMS and Soft-NMS over a photo, against the dense Soft-NMS of the model and torchvision's NMS."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torchvision.ops import nms

from acnet.layers import soft_nms
from acnet.tiling.decay import gaussian_decay, hard_decay, linear_decay, pick_and_decay
from acnet.tiling.neighbours import find_neighbours
from tests.tiling.samples import random_case


def test_three_boxes_by_hand():
    # Box 1 is the left half of box 0: IoU 1/2. Box 2 is apart.
    boxes = np.array([[0, 0, 20, 10], [0, 0, 10, 10], [50, 0, 60, 10]], np.float32)
    scores = np.array([0.8, 0.6, 0.4], np.float32)
    rows = find_neighbours(boxes, np.zeros(3), above_iou=0.3, tiles=None)
    picks, lowered = pick_and_decay(scores, rows, linear_decay(rows.ious), score_floor=0.001)
    assert picks.tolist() == [0, 2, 1]
    assert_allclose(lowered, [0.8, 0.4, 0.3])
    picks, lowered = pick_and_decay(scores, rows, hard_decay(rows.ious), score_floor=0.001)
    assert picks.tolist() == [0, 2]
    assert_allclose(lowered, [0.8, 0.4])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_same_as_the_dense_soft_nms(method, seed):
    found, _, _ = random_case(seed)
    boxes, scores, classes = found.boxes_xyxy, found.scores, found.classes
    expected, expected_scores = soft_nms(
        *map(torch.from_numpy, (boxes, scores, classes)), method=method, score_floor=0.05
    )
    rows = find_neighbours(boxes, classes, above_iou=0.3 if method == "linear" else 0.0, tiles=None)
    factors = linear_decay(rows.ious) if method == "linear" else gaussian_decay(rows.ious, 0.5)
    picks, lowered = pick_and_decay(scores, rows, factors, score_floor=0.05)
    assert 0 < len(picks) < len(found)
    # Scores that differ by rounding alone may be picked in another order.
    assert_array_equal(np.sort(picks), np.sort(expected.numpy()))
    assert_allclose(lowered, expected_scores, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_a_decay_to_nothing_is_nms(seed):
    found, _, _ = random_case(seed, classes=1)
    found = found.best_first()
    rows = find_neighbours(found.boxes_xyxy, found.classes, above_iou=0.4, tiles=None)
    picks, _ = pick_and_decay(found.scores, rows, hard_decay(rows.ious), score_floor=0.001)
    scores = torch.arange(len(found), 0, -1.0)  # the same order, without ties
    assert_array_equal(picks, nms(torch.from_numpy(found.boxes_xyxy), scores, 0.4).numpy())


def test_lowered_scores_never_rise():
    found, _, _ = random_case(9)
    rows = find_neighbours(found.boxes_xyxy, found.classes, above_iou=0.0, tiles=None)
    factors = gaussian_decay(rows.ious, 0.5)
    _, lowered = pick_and_decay(found.scores, rows, factors, score_floor=0.001)
    assert (np.diff(lowered) <= 0).all()


def test_no_boxes():
    rows = find_neighbours(np.empty((0, 4)), np.empty(0), above_iou=0.5, tiles=None)
    picks, lowered = pick_and_decay(np.empty(0), rows, rows.ious, score_floor=0.001)
    assert picks.shape == lowered.shape == (0,)
