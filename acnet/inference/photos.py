"""Reading whatever a phone, a clinic camera or a scanner writes, as upright 8-bit BGR.

Training reads with detectron2, which takes every picture by Pillow's `convert("RGB")`. This reader
agrees with it on usual photos, and does better on two unusual kinds: `convert` turns transparent
parts into whatever colour lies under them, and deep grey into white.
"""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from acnet.data.images import UnreadableFileError, open_image, read_size, upright

PIXELS_PER_MEGAPIXEL = 1_000_000
# What is stored in 16 or 32 bits was measured with one of these.
SENSOR_BITS = (8, 10, 12, 14, 16, 32)


def read_photo(path: str | os.PathLike, *, max_megapixels: float | None = None) -> np.ndarray:
    """Read a photo of any of Pillow's modes.

    Args:
        path: The file. Of several frames the first is taken.
        max_megapixels: Refuse larger photos by their header, before they fill the memory.

    Returns:
        (H, W, 3) uint8, BGR, upright by its EXIF orientation; transparent parts are white.

    Raises:
        UnreadableFileError: It is no picture, cut short or damaged, or too large.
        FileNotFoundError: There is no such file.
    """
    height, width = read_size(path)
    megapixels = height * width / PIXELS_PER_MEGAPIXEL
    if max_megapixels is not None and megapixels > max_megapixels:
        raise UnreadableFileError(
            "The size of photos is limited, as was asked for. Received "
            f"{Path(path).name} of {width} x {height}, {megapixels:.1f} megapixels, above the limit "
            f"of {max_megapixels:g}. Make the photo smaller, or raise --max-megapixels."
        )
    with open_image(path) as image:
        rgb = to_rgb(upright(image))
    return np.ascontiguousarray(np.asarray(rgb)[:, :, ::-1])


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a picture of any mode to 8-bit RGB, laid on white where it is transparent.

    Args:
        image: With its pixels loaded or not.

    Returns:
        The picture in mode RGB.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep_grey_to_8_bit(np.asarray(image)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _deep_grey_to_8_bit(grey: np.ndarray) -> Image.Image:
    """Scale by the smallest range that holds all values: 0 to 1, or that of a sensor's bits."""
    grey = np.nan_to_num(grey.astype(np.float64))
    highest = grey.max(initial=0)
    ranges = (1, *(2**bits - 1 for bits in SENSOR_BITS))
    full = next((top for top in ranges if highest <= top), highest)
    return Image.fromarray((grey / full * 255).round().clip(0, 255).astype(np.uint8))
