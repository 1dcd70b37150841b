"""Boxes on photos, drawn by numpy and Pillow; and what they have in common with detectron2's.

Shape shorthand: (H, W, 3) is an RGB picture in uint8.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from acnet.photos.draw import PREDICTION_COLOR, enlarge_small

MAX_LABELLED_BOXES = 20  # more labels than this hide the lesions beside them
RIM_PX = 0.75  # of shade on both sides of a line, so that it is seen on any skin
RIM_OPACITY, LINE_OPACITY = 0.4, 0.9
LABEL_OPACITY = 0.8  # of the black behind a text
LABEL_CHOICES = ("auto", "always", "never")


def draw_boxes(
    photo_rgb: np.ndarray,
    boxes_xyxy: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    *,
    labels: str = "auto",
    class_names: Sequence[str] | None = None,
) -> np.ndarray:
    """Do as `acnet.visualization.lesion_visualizer.draw_boxes`, without detectron2 and matplotlib.

    Example:
        >>> photo = np.zeros((960, 960, 3), np.uint8)
        >>> picture = draw_boxes(photo, np.array([[10, 10, 90, 90]]), np.ones(1), np.zeros(1, int))
        >>> picture[50, 8].tolist()  # on the box's left side
        [0, 207, 230]
    """
    texts = label_texts(labels, scores, classes, class_names)
    picture, enlargement = enlarge_small(photo_rgb)
    picture = picture.copy()
    widest_px = widest_line(picture.shape[:2])
    for box in np.asarray(boxes_xyxy, np.float64).reshape(-1, 4) * enlargement:
        line_px = line_width(box, widest_px)
        middle = box + np.array([-1, -1, 1, 1]) * (line_px / 2 + RIM_PX)
        _draw_frame(picture, middle, line_px + 2 * RIM_PX, (0.0, 0.0, 0.0), RIM_OPACITY)
        _draw_frame(picture, middle, line_px, PREDICTION_COLOR, LINE_OPACITY)
    if not texts:
        return picture
    drawn = Image.fromarray(picture)
    size_px = max(12.0, np.sqrt(picture.shape[0] * picture.shape[1]) / 110)
    font = ImageFont.load_default(size_px)
    for box, text in zip(boxes_xyxy * enlargement, texts, strict=True):
        _draw_label(drawn, box, text, font, widest_px)
    return np.asarray(drawn)


def label_texts(
    labels: str, scores: np.ndarray, classes: np.ndarray, class_names: Sequence[str] | None
) -> list[str] | None:
    """Return what is written at each box; None where nothing is.

    Args:
        labels: "always", "never", or "auto": only where at most 20 boxes are drawn.
        scores: (N,).
        classes: (N,) indices.
        class_names: Names by class index, written before the score; None or a single name writes
            the score alone.

    Raises:
        ValueError: `labels` is none of the three.
    """
    if labels not in LABEL_CHOICES:
        raise ValueError(f"labels must be one of {LABEL_CHOICES}. Received {labels!r}.")
    if labels == "never" or (labels == "auto" and len(scores) > MAX_LABELLED_BOXES):
        return None
    numbers = [f"{score:.2f}" for score in scores.tolist()]
    if class_names is None or len(class_names) == 1:
        return numbers
    pairs = zip(classes.tolist(), numbers, strict=True)
    return [f"{class_names[index]} {number}" for index, number in pairs]


def widest_line(picture_hw: tuple[int, int]) -> float:
    """Return the width in pixels of the lines around large boxes of a picture."""
    return max(1.0, np.hypot(*picture_hw) / 900)


def line_width(box_xyxy: np.ndarray, widest_px: float) -> float:
    """Return the width of a box's line: one that is wider would hide half of a small lesion."""
    x0, y0, x1, y1 = box_xyxy
    return float(np.clip(min(x1 - x0, y1 - y0) / 10, 1.0, widest_px))


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
