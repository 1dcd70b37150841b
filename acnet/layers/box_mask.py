"""Draws boxes into a binary map: the label of the mask attention block (paper, III-C.1).

Shape shorthand:
    *: any leading dimensions, such as the images of a batch
    G: boxes
"""

import torch
from torch import Tensor


def boxes_to_mask(boxes_xyxy: Tensor, grid_hw: tuple[int, int], stride: int) -> Tensor:
    """Mark the cells of a feature grid that any box covers.

    A cell belongs to a box when the two overlap at all: the box is grown outward to whole cells
    (floor of its start, ceil of its end), so that even the smallest lesion owns one cell.

    Args:
        boxes_xyxy: (*, G, 4), corners in pixels of the image; parts outside the grid are ignored.
        grid_hw: height and width of the grid, in cells.
        stride: pixels per cell, at least 1.

    Returns:
        (*, H, W) float32 on the device of the boxes: 1 inside a box, 0 elsewhere.

    Raises:
        ValueError: if the boxes are not (*, G, 4) or the stride is below 1.

    Reference: paper, III-C.1, "a binary map as a label based on the ground truth".
    """
    if boxes_xyxy.dim() < 2 or boxes_xyxy.shape[-1] != 4:
        raise ValueError(f"Boxes must have shape (*, G, 4). Received {tuple(boxes_xyxy.shape)}.")
    if stride < 1:
        raise ValueError(f"The stride is in pixels per cell, so at least 1. Received {stride}.")
    height, width = grid_hw
    # NOT IN PAPER: how a box becomes cells. Outward rounding keeps lesions smaller than a cell.
    start = torch.div(boxes_xyxy[..., :2], stride, rounding_mode="floor")  # (*, G, 2): x, y
    end = torch.maximum((boxes_xyxy[..., 2:] / stride).ceil(), start + 1)
    rows = _covered(start[..., 1], end[..., 1], height)  # (*, G, H)
    columns = _covered(start[..., 0], end[..., 0], width)  # (*, G, W)
    # A cell's count of boxes is a product of rows and columns; no loop over boxes, no host sync.
    return (rows.mT @ columns > 0).float()


def _covered(start: Tensor, end: Tensor, length: int) -> Tensor:
    """(*, G, length) float: 1 where `start <= index < end`."""
    index = torch.arange(length, device=start.device)
    return ((index >= start[..., None]) & (index < end[..., None])).float()
