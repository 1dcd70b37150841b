"""Boxes that were drawn on a coarse grid."""

import numpy as np
import pytest

from acnet.data.audit.box_grid import check_grid, grid_step
from tests.data.audit.fake_source import annotated

STEP = 7.7
SIDE = 3456


def edges_on_grid(step, boxes=200, seed=0):
    """Whole pixels nearest to multiples of the step; starts are one less, as VOC's are read."""
    rng = np.random.default_rng(seed)
    starts = rng.integers(1, int(SIDE / step) - 20, boxes)
    ends = starts + rng.integers(2, 15, boxes)
    return np.stack([np.round(starts * step) - 1, np.round(ends * step)], axis=1)


@pytest.mark.parametrize("step", [4.0, 7.7, 15.3])
def test_the_step_is_found_in_rounded_coordinates(step):
    # Over 3456 px an error of 0.01 px in a step of 7.7 would sum up to 4.5 px: half a step.
    assert abs(grid_step(edges_on_grid(step), SIDE) - step) < 0.01


def test_whole_pixels_are_no_grid():
    rng = np.random.default_rng(0)
    starts = rng.integers(1, 3300, 300)
    edges = np.stack([starts, starts + rng.integers(10, 90, 300)], axis=1)
    assert grid_step(edges, SIDE) is None


def test_few_boxes_or_boxes_at_the_rim_show_nothing():
    assert grid_step(edges_on_grid(STEP, boxes=10), SIDE) is None
    assert grid_step(np.zeros((0, 2)), SIDE) is None
    assert grid_step(np.tile([0.0, SIDE], (300, 1)), SIDE) is None


def test_nan_does_not_hide_the_grid():
    edges = edges_on_grid(STEP)
    edges[::5, 0] = np.nan
    assert abs(grid_step(edges, SIDE) - STEP) < 0.01


def test_one_finding_for_each_size_of_pictures():
    x, y = edges_on_grid(STEP), edges_on_grid(STEP, seed=1)
    boxes = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)
    on_grid = annotated("a.jpg", boxes, image_hw=(SIDE, SIDE))
    rng = np.random.default_rng(0)
    anywhere = boxes + rng.integers(-3, 4, (len(boxes), 1))
    (finding,) = check_grid([on_grid, annotated("b.jpg", anywhere, image_hw=(SIDE, SIDE + 1))])
    assert finding.detail == "1 pictures of 3456x3456: 7.70 by 7.70 px"
    assert finding.number == 200
    assert list(check_grid([])) == []
