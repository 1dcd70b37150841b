"""Reading whatever a phone, a clinic camera or a scanner writes, as upright 8-bit BGR.

Training reads with detectron2, which takes every picture by Pillow's `convert("RGB")`. This reader
agrees with it on usual photos, and does better on two unusual kinds: `convert` turns transparent
parts into whatever colour lies under them, and deep grey into white.
"""

import contextlib
import math
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from acnet.data.images import is_plain_jpeg, open_image, read_bgr_view, read_size, upright
from acnet.errors import UnreadableFileError

PIXELS_PER_MEGAPIXEL = 1_000_000
MAX_MEGAPIXELS = 128.0  # beyond the largest phones' 108; 384 MB once decoded
_PILLOW_LIMIT = threading.RLock()  # Pillow's limit is one variable for the whole process
# What is stored in 16 or 32 bits was measured with one of these.
SENSOR_BITS = (8, 10, 12, 14, 16, 32)


def read_photo(path: str | os.PathLike, *, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """Read a photo of any of Pillow's modes.

    Of a JPEG the memory holds the file and its decoded pixels, nothing more; of other formats for
    a moment Pillow's own pixels as well.

    Args:
        path: the file. Of several frames the first is taken.
        max_megapixels: refuse larger photos by their header, before they fill the memory.

    Returns:
        (H, W, 3) uint8, BGR, upright by its EXIF orientation, perhaps as a view of pixels that lie
        otherwise; transparent parts are white.

    Raises:
        UnreadableFileError: it is no picture, cut short or damaged, or too large.
        FileNotFoundError: there is no such file.
    """
    with _allow_in_pillow(max_megapixels):
        _check_size(path, max_megapixels)
        with open_image(path) as image:
            if not is_plain_jpeg(image):
                return cv2.cvtColor(np.asarray(to_rgb(upright(image))), cv2.COLOR_RGB2BGR)
        return read_bgr_view(path)


def _check_size(path: str | os.PathLike, max_megapixels: float) -> None:
    height, width = read_size(path)
    megapixels = height * width / PIXELS_PER_MEGAPIXEL
    if megapixels > max_megapixels:
        raise UnreadableFileError(
            "A photo's pixels are held in memory, 3 bytes each, so their number is limited. "
            f"Received {Path(path).name} of {width} x {height}, {megapixels:.1f} megapixels, "
            f"above the limit of {max_megapixels:g}. Make the photo smaller, or raise "
            "--max-megapixels (max_megapixels in Python) where there is memory for it."
        )


@contextlib.contextmanager
def _allow_in_pillow(megapixels: float) -> Iterator[None]:
    """Put our limit in the place of Pillow's, which warns from 89 megapixels and refuses 179.

    Pillow's guards against files that are small and decode to gigabytes; ours does the same.
    """
    with _PILLOW_LIMIT:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = math.ceil(megapixels * PIXELS_PER_MEGAPIXEL)
        try:
            with warnings.catch_warnings():
                # Between once and twice the limit Pillow warns, and we refuse.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


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
