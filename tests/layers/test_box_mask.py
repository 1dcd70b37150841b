"""The map that the mask attention learns, cell by cell."""

import pytest
import torch

from acnet.layers.box_mask import boxes_to_mask


def _slow_mask(boxes, grid_hw, stride):
    """A cell is covered when its square shares area with a box, or when the box has none."""
    height, width = grid_hw
    mask = torch.zeros(height, width)
    for x0, y0, x1, y1 in boxes.tolist():
        for row in range(height):
            for column in range(width):
                inside_x = column * stride < x1 and (column + 1) * stride > x0
                inside_y = row * stride < y1 and (row + 1) * stride > y0
                if inside_x and inside_y:
                    mask[row, column] = 1
    return mask


def test_box_grows_outward_to_whole_cells():
    # x: 7 / 8 -> cell 0, 17 / 8 -> up to cell 3; y: 8 / 8 -> cell 1, 16 / 8 -> up to cell 2.
    mask = boxes_to_mask(torch.tensor([[7.0, 8.0, 17.0, 16.0]]), (3, 4), 8)
    expected = torch.tensor([[0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]], dtype=torch.float32)
    torch.testing.assert_close(mask, expected)


@pytest.mark.parametrize("stride", [1, 4, 8])
def test_equals_cell_by_cell_overlap(stride):
    corners = torch.rand(30, 2) * 80
    boxes = torch.cat([corners, corners + 0.5 + torch.rand(30, 2) * 20], dim=1)
    for count in (1, 3, 30):
        mask = boxes_to_mask(boxes[:count], (11, 9), stride)
        torch.testing.assert_close(mask, _slow_mask(boxes[:count], (11, 9), stride))


def test_smallest_lesion_owns_one_cell_and_what_lies_outside_none():
    assert boxes_to_mask(torch.tensor([[8.0, 8.0, 8.0, 8.0]]), (4, 4), 8).sum() == 1
    torch.testing.assert_close(boxes_to_mask(torch.zeros(0, 4), (2, 3), 8), torch.zeros(2, 3))
    outside = torch.tensor([[-40.0, -40, -8, -8], [-6.0, -6, -2, -2], [64.0, 0, 80, 8]])
    assert boxes_to_mask(outside, (4, 4), 8).sum() == 0


def test_autocast_does_not_change_the_mask():
    boxes = torch.tensor([[3.0, 5.0, 41.0, 63.0]]).repeat(300, 1)
    with torch.autocast("cpu", torch.bfloat16):
        mask = boxes_to_mask(boxes, (9, 9), 8)
    torch.testing.assert_close(mask, boxes_to_mask(boxes, (9, 9), 8))


def test_wrong_shape_and_stride_are_named():
    with pytest.raises(ValueError, match=r"G, 4\).*\(3,\)"):
        boxes_to_mask(torch.zeros(3), (2, 2), 8)
    with pytest.raises(ValueError, match=r"at least 1.*0"):
        boxes_to_mask(torch.zeros(0, 4), (2, 2), 0)
