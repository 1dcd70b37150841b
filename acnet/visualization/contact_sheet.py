"""Many pictures on one page, in reading order."""

from collections.abc import Sequence

import cv2
import numpy as np


def contact_sheet(
    pictures: Sequence[np.ndarray], *, columns: int, width_px: int = 640, gap_px: int = 8
) -> np.ndarray:
    """Put pictures on a white page, all scaled to one width.

    Args:
        pictures: (H, W, 3) uint8 each, of any sizes; at least one.
        columns: Pictures in a row, at least 1.
        width_px: Width that each picture gets.
        gap_px: White between and around the pictures.

    Returns:
        (H, columns * (width_px + gap_px) + gap_px, 3) uint8; a row is as high as its highest
        picture.

    Raises:
        ValueError: There is no picture, or no column.
    """
    if not pictures or columns < 1:
        raise ValueError(
            "A contact sheet shows at least one picture in at least one column. "
            f"Received {len(pictures)} pictures and {columns} columns; give one or more of both."
        )
    scaled = [_scale_to_width(picture, width_px) for picture in pictures]
    rows = [scaled[start : start + columns] for start in range(0, len(scaled), columns)]
    heights = [max(len(picture) for picture in row) for row in rows]
    page_hw = (sum(heights) + (len(rows) + 1) * gap_px, columns * (width_px + gap_px) + gap_px)
    page = np.full((*page_hw, 3), 255, np.uint8)
    top = gap_px
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            left = gap_px + column * (width_px + gap_px)
            page[top : top + len(picture), left : left + width_px] = picture
        top += height + gap_px
    return page


def _scale_to_width(picture: np.ndarray, width_px: int) -> np.ndarray:
    height, width = picture.shape[:2]
    smooth = cv2.INTER_AREA if width_px < width else cv2.INTER_CUBIC
    size_wh = (width_px, max(1, round(height * width_px / width)))
    return cv2.resize(picture, size_wh, interpolation=smooth)
