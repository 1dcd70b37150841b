"""Boxes that leave their photo or have no area."""

import time

import numpy as np
from numpy.testing import assert_array_equal

from acnet.data.clean import CLIPPED, DEGENERATE, OUTSIDE, ROUNDING_PX, SHOWN_BOXES, clean_boxes

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


def slow_clean(boxes, image_hw):
    """Box by box, as one would write it down."""
    height, width = image_hw
    kinds, kept = [], []
    for index, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        inside = [min(max(x0, 0), width), min(max(y0, 0), height)]
        inside += [min(max(x1, 0), width), min(max(y1, 0), height)]
        if not np.isfinite([x0, y0, x1, y1]).all() or min(x1 - x0, y1 - y0) <= ROUNDING_PX:
            kinds.append(DEGENERATE)
        elif min(inside[2] - inside[0], inside[3] - inside[1]) <= ROUNDING_PX:
            kinds.append(OUTSIDE)
        else:
            kept.append(index)
            moved = max(abs(a - b) for a, b in zip(inside, (x0, y0, x1, y1), strict=True))
            kinds += [CLIPPED] if moved > ROUNDING_PX else []
    return kept, kinds


def test_the_same_as_box_by_box():
    rng = np.random.default_rng(5)
    boxes = rng.integers(-30, 130, (300, 4)) + rng.choice([0.0, 0.004, 0.02], (300, 4))
    boxes[rng.random((300, 4)) < 0.02] = NAN
    kept_boxes, kept, notes = clean_boxes(boxes, (50, 100), "a.jpg")
    expected_kept, expected_kinds = slow_clean(boxes, (50, 100))
    assert kept.tolist() == expected_kept
    for kind in (CLIPPED, OUTSIDE, DEGENERATE):
        counted = sum(note.count for note in notes if note.kind == kind)
        assert counted == expected_kinds.count(kind) > SHOWN_BOXES
    assert (kept_boxes >= 0).all()
    assert (kept_boxes <= [100, 50, 100, 50]).all()


def test_rounding_is_no_fault():
    boxes, _kept, notes = clean_boxes(np.array([[-0.003, 0, 100.004, 50]]), (50, 100), "a.jpg")
    assert boxes.tolist() == [[0, 0, 100, 50]]
    assert notes == []


def test_a_million_boxes_take_seconds_and_few_notes():
    boxes = np.tile([5.0, 5, 5, 5], (1_000_000, 1))
    start = time.monotonic()
    _, kept, notes = clean_boxes(boxes, (50, 100), "a.jpg")
    assert time.monotonic() - start < 5
    assert len(kept) == 0
    assert len(notes) == SHOWN_BOXES + 1
    assert notes[-1].count == 1_000_000 - SHOWN_BOXES
