"""Many pictures on one page, in reading order."""

from collections.abc import Sequence

import cv2
import numpy as np


def contact_sheet(
    pictures: Sequence[np.ndarray], *, columns: int, cell_px: int = 640, gap_px: int = 8
) -> np.ndarray:
    """Put pictures on a white page, each scaled to fit its cell.

    Args:
        pictures: (H, W, 3) uint8 each, of any sizes; at least one.
        columns: Cells in a row, at least 1.
        cell_px: Side of the square cells.
        gap_px: White between and around the cells.

    Returns:
        (rows * (cell_px + gap_px) + gap_px, columns * (cell_px + gap_px) + gap_px, 3) uint8.

    Raises:
        ValueError: There is no picture, or no column.
    """
    if not pictures or columns < 1:
        raise ValueError(
            "A contact sheet shows at least one picture in at least one column. "
            f"Received {len(pictures)} pictures and {columns} columns; give one or more of both."
        )
    pitch = cell_px + gap_px
    rows = -(-len(pictures) // columns)
    page = np.full((rows * pitch + gap_px, columns * pitch + gap_px, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        cell = _fit(picture, cell_px)
        row, column = divmod(index, columns)
        top = gap_px + row * pitch + (cell_px - cell.shape[0]) // 2
        left = gap_px + column * pitch + (cell_px - cell.shape[1]) // 2
        page[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return page


def _fit(picture, side_px):
    height, width = picture.shape[:2]
    scale = side_px / max(height, width)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, size_wh, interpolation=smooth)
