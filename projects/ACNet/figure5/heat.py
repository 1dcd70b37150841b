"""Saliency as colour: one scale from 0 to 1 for every map, so that maps can be compared.

Shape shorthand: (h, w) is a map over the whole photo, of whatever resolution.
"""

import base64
from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np

# Rises in lightness alone from end to end, so readers who see few colours read it as well.
COLORMAP = "viridis"
LONGEST_PX = 320  # the map has a value for 8 x 8 pixels; more would be interpolation
LEGEND_STOPS = 9


@dataclass(frozen=True)
class Contrast:
    """How a map tells lesions from skin.

    Args:
        inside: its mean over pixels inside boxes; None where there is none.
        outside: its mean over all others; None where there is none.
    """

    inside: float | None
    outside: float | None


def heat_data_uri(saliency: np.ndarray) -> str:
    """Paints a map.

    Args:
        saliency: (h, w) in [0, 1].

    Returns:
        A PNG as `data:` URI, its longer side at most 320 px.
    """
    shrink = LONGEST_PX / max(saliency.shape)
    if shrink < 1:
        size_wh = tuple(max(1, round(side * shrink)) for side in reversed(saliency.shape))
        saliency = cv2.resize(saliency, size_wh, interpolation=cv2.INTER_AREA)
    rgb = (matplotlib.colormaps[COLORMAP](saliency.clip(0, 1))[..., :3] * 255).round()
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]).astype(np.uint8))
    return "data:image/png;base64," + base64.b64encode(encoded).decode("ascii")


def legend_css() -> str:
    """Returns the scale as a CSS gradient, 0 at its left end and 1 at its right."""
    stops = matplotlib.colormaps[COLORMAP](np.linspace(0, 1, LEGEND_STOPS))
    colors = ", ".join(matplotlib.colors.to_hex(stop) for stop in stops)
    return f"linear-gradient(to right, {colors})"


def contrast(saliency: np.ndarray, boxes_xyxy: np.ndarray, image_hw: tuple[int, int]) -> Contrast:
    """Measures a map inside and outside of the lesions' boxes.

    Args:
        saliency: (h, w) over the photo.
        boxes_xyxy: (N, 4) in pixels of the photo.
        image_hw: of the photo.

    Returns:
        Two means, each over the map's own pixels: one belongs to a box that holds its centre.
    """
    height, width = saliency.shape
    x = (np.arange(width) + 0.5) * image_hw[1] / width
    y = (np.arange(height) + 0.5) * image_hw[0] / height
    inside = np.zeros(saliency.shape, dtype=bool)
    for x0, y0, x1, y1 in boxes_xyxy:
        inside |= ((y0 <= y) & (y < y1))[:, None] & ((x0 <= x) & (x < x1))
    parts = (saliency[inside], saliency[~inside])
    return Contrast(*(float(part.mean()) if part.size else None for part in parts))
