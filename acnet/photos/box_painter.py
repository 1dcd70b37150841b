"""Boxes on photos, drawn by numpy and Pillow where detectron2 is missing.

Shape shorthand: (H, W, 3) is an RGB picture in uint8.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from acnet.photos.draw import (
    PREDICTION_COLOR,
    RIM_OPACITY,
    RIM_PX,
    enlarge_small,
    line_width,
    widest_line,
)

LINE_OPACITY = 0.9
LABEL_OPACITY = 0.8  # of the black behind a text


def draw_boxes(
    photo_rgb: np.ndarray, boxes_xyxy: np.ndarray, labels: Sequence[str] | None = None
) -> np.ndarray:
    """Do as `acnet.visualization.lesion_visualizer.draw_boxes`, without detectron2 and matplotlib.

    Example:
        >>> photo = np.zeros((960, 960, 3), np.uint8)
        >>> picture = draw_boxes(photo, np.array([[10, 10, 90, 90]]))
        >>> picture[50, 8].tolist()  # on the box's left side
        [0, 207, 230]
    """
    picture, enlargement = enlarge_small(photo_rgb)
    picture = picture.copy()
    widest_px = widest_line(picture.shape[:2])
    for box in np.asarray(boxes_xyxy, np.float64).reshape(-1, 4) * enlargement:
        line_px = line_width(box, widest_px)
        middle = box + np.array([-1, -1, 1, 1]) * (line_px / 2 + RIM_PX)
        _draw_frame(picture, middle, line_px + 2 * RIM_PX, (0.0, 0.0, 0.0), RIM_OPACITY)
        _draw_frame(picture, middle, line_px, PREDICTION_COLOR, LINE_OPACITY)
    if not labels:
        return picture
    drawn = Image.fromarray(picture)
    size_px = max(12.0, np.sqrt(picture.shape[0] * picture.shape[1]) / 110)
    font = ImageFont.load_default(size_px)
    for box, text in zip(boxes_xyxy * enlargement, labels, strict=True):
        _draw_label(drawn, box, text, font, widest_px)
    return np.asarray(drawn)


def _draw_frame(
    picture_rgb: np.ndarray,
    middle_xyxy: np.ndarray,
    width_px: float,
    color: tuple[float, float, float],
    opacity: float,
) -> None:
    """Lay a rectangle's line over the picture, in place; pixels are covered by their share."""
    outward = np.array([-1, -1, 1, 1]) * width_px / 2
    outer, inner = middle_xyxy + outward, middle_xyxy - outward
    limits = np.tile(picture_rgb.shape[1::-1], 2)
    left, top = np.floor(outer[:2]).astype(int).clip(0, limits[:2])
    right, bottom = np.ceil(outer[2:]).astype(int).clip(0, limits[2:])
    columns, rows = np.arange(left, right), np.arange(top, bottom)
    covered = np.zeros((len(rows), len(columns)))
    for sign, (x0, y0, x1, y1) in ((1, outer), (-1, inner)):
        in_columns = (np.minimum(columns + 1, x1) - np.maximum(columns, x0)).clip(0, 1)
        in_rows = (np.minimum(rows + 1, y1) - np.maximum(rows, y0)).clip(0, 1)
        covered += sign * in_rows[:, None] * in_columns
    share = opacity * covered[:, :, None]
    window = picture_rgb[top:bottom, left:right]
    window[:] = (window * (1 - share) + 255 * np.array(color) * share).round()


def _draw_label(
    picture: Image.Image, box_xyxy: np.ndarray, text: str, font: ImageFont.ImageFont, line_px: float
) -> None:
    """Write above the box, or below it where the picture ends."""
    draw = ImageDraw.Draw(picture, "RGBA")
    x0, y0, _, y1 = (float(value) for value in box_xyxy)
    bottom = draw.textbbox((0, 0), text, font=font)[3]
    y = y0 - bottom - 2 * line_px if y0 >= bottom + 2 * line_px else y1 + line_px
    place = draw.textbbox((x0, y), text, font=font)
    draw.rectangle(place, fill=(0, 0, 0, round(255 * LABEL_OPACITY)))
    draw.text((x0, y), text, font=font, fill=tuple(round(255 * c) for c in PREDICTION_COLOR))
