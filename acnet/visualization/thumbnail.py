"""A small picture of a photo with its boxes, drawn at its own size so that the lines stay clear."""

import cv2
import numpy as np

from acnet.visualization.boxes import PREDICTION_COLOR

LONGEST_PX = 480
RIM_OPACITY = 0.4  # of the shade on both sides of a line, so that it is seen on any skin


def draw_thumbnail(photo_rgb: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
    """Draw boxes on a photo that is made small; a small photo keeps its size.

    Args:
        photo_rgb: (H, W, 3) uint8.
        boxes_xyxy: (N, 4), in pixels of the photo.

    Returns:
        (h, w, 3) uint8, at most 480 pixels long.
    """
    height, width = photo_rgb.shape[:2]
    shrink = min(1.0, LONGEST_PX / max(height, width))
    size_wh = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    small = cv2.resize(photo_rgb, size_wh, interpolation=cv2.INTER_AREA)
    corners = (np.asarray(boxes_xyxy).reshape(-1, 4) * shrink).round().astype(int).tolist()
    rim = small.copy()
    for x0, y0, x1, y1 in corners:
        cv2.rectangle(rim, (x0, y0), (x1, y1), (0, 0, 0), 3)
    small = cv2.addWeighted(rim, RIM_OPACITY, small, 1 - RIM_OPACITY, 0)
    color = tuple(round(255 * channel) for channel in PREDICTION_COLOR)
    for x0, y0, x1, y1 in corners:
        cv2.rectangle(small, (x0, y0), (x1, y1), color, 1)
    return small
