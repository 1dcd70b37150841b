"""Boxes that leave their photo or have no area."""

import numpy as np
from numpy.testing import assert_array_equal

from acnet.data.boxes import CLIPPED, DEGENERATE, OUTSIDE, clean_boxes

NAN, INF = float("nan"), float("inf")


def test_each_fault_by_hand():
    boxes = np.array(
        [
            [0.0, 0, 100, 50],  # the whole photo: kept as it is
            [-5, 10, 20, 60],  # leaves left and bottom: clipped to 0, 10, 20, 50
            [100, 10, 120, 20],  # begins where the photo ends: outside
            [30, 30, 30, 40],  # no width
            [40, 40, 20, 45],  # inverted
            [NAN, 1, 5, 5],
            [1, 1, INF, 5],
        ]
    )
    kept_boxes, kept, notes = clean_boxes(boxes, (50, 100), "a.jpg")
    assert kept.tolist() == [0, 1]
    assert_array_equal(kept_boxes, [[0, 0, 100, 50], [0, 10, 20, 50]])
    kinds = [note.kind for note in notes]
    assert kinds == [CLIPPED, OUTSIDE, DEGENERATE, DEGENERATE, DEGENERATE, DEGENERATE]
    assert notes[0].file_name == "a.jpg"
    assert notes[0].detail == "xyxy [-5.0, 10.0, 20.0, 60.0] in 100x50"


def test_no_boxes():
    boxes, kept, notes = clean_boxes(np.zeros((0, 4)), (50, 100), "a.jpg")
    assert boxes.shape == (0, 4)
    assert kept.shape == (0,)
    assert notes == []
