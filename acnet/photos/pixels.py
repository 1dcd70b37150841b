"""Sizes, colours and blurs of pictures: OpenCV's, and the same from numpy where it is missing.

Shape shorthand:
    n: pixels along one side of the result
    K: pixels that each of them is a weighted sum of
"""

from typing import TypeAlias

import numpy as np

try:
    import cv2
except ModuleNotFoundError:  # light installations: it takes 150 MB
    cv2 = None

OPENCV_VERSION = "" if cv2 is None else cv2.__version__
CUBIC_SHARPNESS = -0.75  # OpenCV's
LEAST_COVERED = 1e-3  # of a pixel, below which it is left out of a mean
YCRCB_BITS = 14
TO_Y, TO_CR_CB = (1868, 9617, 4899), (11682, 9241)  # of B, G, R; of R - Y and B - Y
BLUR_SIGMAS = 4.0  # that a kernel reaches

Taps: TypeAlias = tuple[np.ndarray, np.ndarray]  # indices (K, n), weights (K, n)


def resize(image: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Resize a picture.

    Where it shrinks, each new pixel is the mean of those that it covers; where it grows, it lies on
    a smooth curve through them.

    Args:
        image: (H, W, 3) uint8.
        size_wh: Width and height of the result.
    """
    height, width = image.shape[:2]
    shrinks = size_wh[0] < width or size_wh[1] < height
    if cv2 is not None:
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        return cv2.resize(image, size_wh, interpolation=method)
    taps = _area_taps if shrinks else _cubic_taps
    rows, columns = taps(height, size_wh[1]), taps(width, size_wh[0])
    values = _weighted(_weighted(image, columns, axis=1), rows, axis=0)
    if (width, height) == (2 * size_wh[0], 2 * size_wh[1]):
        values += 1 / 8  # OpenCV rounds up what is half way, here alone
    return values.round().clip(0, 255).astype(np.uint8)


def y_cr_cb(image_bgr: np.ndarray) -> list[np.ndarray]:
    """Return brightness and the two chromas of a picture (H, W, 3) uint8, each (H, W) float32."""
    if cv2 is not None:
        return list(cv2.split(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2YCrCb).astype(np.float32)))
    blue, green, red = image_bgr.astype(np.int32).transpose(2, 0, 1)
    half = 1 << (YCRCB_BITS - 1)
    y = (blue * TO_Y[0] + green * TO_Y[1] + red * TO_Y[2] + half) >> YCRCB_BITS
    chromas = [
        (((color - y) * factor + half) >> YCRCB_BITS) + 128
        for color, factor in zip((red, blue), TO_CR_CB, strict=True)
    ]
    return [channel.clip(0, 255).astype(np.float32) for channel in (y, *chromas)]


def blur(channel: np.ndarray, sigma_px: float) -> np.ndarray:
    """Blur (H, W) float32 by a Gaussian; beyond its borders a picture is mirrored."""
    if cv2 is not None:
        return cv2.GaussianBlur(channel, (0, 0), sigma_px)
    reach = round(BLUR_SIGMAS * sigma_px)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma_px) ** 2)
    weights /= weights.sum()
    for axis, length in enumerate(channel.shape):
        indices = np.pad(np.arange(length), reach, mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(indices, length)  # (K, n)
        tiled = np.repeat(weights[:, None], length, axis=1).astype(np.float32)
        channel = _weighted(channel, (windows, tiled), axis=axis)
    return channel


def _weighted(image: np.ndarray, taps: Taps, *, axis: int) -> np.ndarray:
    """Sum the K pixels along an axis that make each one of the result, in float32."""
    indices, weights = taps
    shape = [1] * image.ndim
    shape[axis] = -1
    total = 0.0
    for index, weight in zip(indices, weights, strict=True):
        total = total + image.take(index, axis=axis) * weight.reshape(shape).astype(np.float32)
    return total


def _area_taps(length: int, new_length: int) -> Taps:
    step = length / new_length
    start = np.arange(new_length) * step
    end = np.minimum(start + step, length)
    indices = np.floor(start).astype(np.int64) + np.arange(int(np.ceil(step)) + 1)[:, None]
    covered = np.minimum(end, indices + 1) - np.maximum(start, indices)
    covered[covered < LEAST_COVERED] = 0
    return indices.clip(0, length - 1), covered / (end - start)


def _cubic_taps(length: int, new_length: int) -> Taps:
    place = (np.arange(new_length) + 0.5) * (length / new_length) - 0.5
    first = np.floor(place).astype(np.int64)
    x, a = place - first, CUBIC_SHARPNESS
    before = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a
    left = ((a + 2) * x - (a + 3)) * x * x + 1
    right = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1
    weights = np.stack([before, left, right, 1 - before - left - right])
    indices = first + np.arange(-1, 3)[:, None]
    return indices.clip(0, length - 1), weights
