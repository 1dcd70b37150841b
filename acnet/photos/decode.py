"""From what a file holds to upright 8-bit pixels: JPEGs, deep grey, transparency, colours.

Sizes, colour channels and blurs are OpenCV's, and the same from numpy where it is missing.

Shape shorthand:
    n: pixels along one side of a resized picture
    K: pixels that each of them is a weighted sum of
"""

import io
import os
import re
import struct
from typing import TypeAlias

import numpy as np
import simplejpeg
from PIL import Image, ImageCms

from acnet.errors import UnreadableFileError
from acnet.files import write_bytes

try:
    import cv2
except ModuleNotFoundError:  # light installations: it takes 150 MB
    cv2 = None

END = b"\xff\xd9"
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
MOST_SCANS = 100  # a progressive photo has about ten; each costs a pass over all of its pixels
WITHOUT_END = "The file lacks its end marker, as after a broken copy; all of its pixels were there."
CUT = (
    "A part of the file is missing or damaged, so a part of the photo may be grey or blurred, and "
    "lesions there are missed."
)
DARK = (
    "Nearly black: of the 16 bits of its colours only the lower ones are used, and the upper ones "
    "were read. Save it with 8 bits a colour."
)
SEVERAL = (
    "The file holds several pictures, as pages or frames, and the first alone was read. Save the "
    "others as files of their own."
)
DARK_BELOW = 32  # of 255: no more than 13 of 16 bits
HARMLESS = "extraneous bytes before marker 0xd9"  # which some cameras write behind the pixels
MOST_PROFILE_BYTES = 4 << 20  # of colours
EXIF_ORIENTATION = 274
# The pictures' way to upright, by the EXIF tag; 1 and unknown values need nothing.
UPRIGHT_BY_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TIFF_PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
# What is stored in 16 or 32 bits was measured with one of these.
SENSOR_BITS = (8, 10, 12, 14, 16)
# Of deep grey's pixels, at each end: single ones lie beyond the range, by resampling or a defect.
OUTLIERS = 0.001
SIGNED_FROM = 0.1  # of the range, that lies below 0 where grey goes from -1 to 1
OPENCV_VERSION = "" if cv2 is None else cv2.__version__
CUBIC_SHARPNESS = -0.75  # OpenCV's
LEAST_COVERED = 1e-3  # of a pixel, below which it is left out of a mean
YCRCB_BITS = 14
TO_Y, TO_CR_CB = (1868, 9617, 4899), (11682, 9241)  # of B, G, R; of R - Y and B - Y
BLUR_SIGMAS = 4.0  # that a kernel reaches
_DEEP = re.compile(r";16|'RGB', [0-9]{5}")  # as Pillow says it of PNG and TIFF, and of PPM
# Behind the pixels' data a marker is neither a stuffed 0 nor a restart.
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)

Taps: TypeAlias = tuple[np.ndarray, np.ndarray]  # indices (K, n), weights (K, n)


def decode_jpeg(content: bytes) -> np.ndarray | None:
    """Decode a JPEG into one numpy array, in a third of Pillow's time; None where it complains."""
    try:
        return simplejpeg.decode_jpeg(content, "BGR", strict=True)
    except ValueError:
        return None  # Pillow tells what is broken from what is only unusual


def decode_damaged_jpeg(content: bytes, mode: str) -> tuple[np.ndarray, str] | None:
    """Decode also what lacks its end marker, or has one too early; None where it is worse.

    A file without the marker whose pixels end early as well is none of these: it was cut short.
    `mode` is Pillow's. The pixels (H, W, 3) uint8, BGR, are not turned by the EXIF orientation, and
    beside them stands what is missing, or "".
    """
    try:
        return _decode(content, mode), ""
    except ValueError as error:
        fault = str(error)
    try:
        if not content.rstrip(b"\x00").endswith(END):
            return _decode(content + END, mode), WITHOUT_END
        image_bgr = _decode(content, mode, strict=False)
    except ValueError:
        return None
    return image_bgr, "" if HARMLESS in fault else CUT


def _decode(content: bytes, mode: str, *, strict: bool = True) -> np.ndarray:
    if mode != "CMYK":
        return simplejpeg.decode_jpeg(content, "BGR", strict=strict)
    ink = 255 - simplejpeg.decode_jpeg(content, "CMYK", strict=strict)  # stored inverted
    rgb = Image.fromarray(ink, "CMYK").convert("RGB")
    return np.ascontiguousarray(np.asarray(rgb)[:, :, ::-1])


def count_scans(content: bytes) -> int:
    """Count the passes over a JPEG's pixels, up to its end, without decoding it."""
    most = content.count(bytes([0xFF, START_OF_SCAN]))
    if most <= MOST_SCANS:  # as in all photos, so that no time is lost on them
        return most
    scans, place = 0, 2
    while (marker := _MARKER.search(content, place)) is not None:
        kind, place = marker[1][0], marker.end()
        if kind == END_OF_IMAGE:
            break
        if kind == START_OF_SCAN:
            scans += 1
        # Markers but a few have a length, which skips what looks like markers in a thumbnail.
        place += int.from_bytes(content[place : place + 2], "big")
    return scans


def check_scans(path: str | os.PathLike, content: bytes) -> None:
    """Raise an UnreadableFileError for a JPEG of so many scans that it would take minutes."""
    scans = count_scans(content)
    if scans > MOST_SCANS:
        raise UnreadableFileError(
            f"A progressive JPEG has about ten scans, and {MOST_SCANS} at most are read, since "
            f"each takes as long as a photo. Received {path} with {scans}. Save the photo anew."
        )


def write_jpeg(path: str | os.PathLike, image_bgr: np.ndarray, quality: int) -> None:
    """Write a JPEG atomically: (H, W, 3) uint8, which may be a window; quality from 1 to 100."""
    _, encoded = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    write_bytes(path, encoded.tobytes())


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a picture of any mode to 8-bit RGB, laid on white where it is transparent."""
    if is_deep_grey(image):
        grey = _deep_grey_to_8_bit(np.asarray(image), from_white=_counts_from_white(image))
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def is_deep_grey(image: Image.Image) -> bool:
    """Tell whether a picture is grey of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _counts_from_white(image: Image.Image) -> bool:
    """Tell whether Pillow has left it to us to turn a TIFF whose 0 is white."""
    tags = getattr(image, "tag_v2", {})
    return image.mode.startswith("I;16") and tags.get(TIFF_PHOTOMETRIC) == WHITE_IS_ZERO


def is_deep(image: Image.Image) -> bool:
    """Tell whether a picture that is not decoded yet has colours of 16 bits."""
    return "RGB" in image.mode and _DEEP.search(str(image.tile)) is not None


def dark_warning(image: np.ndarray) -> str:
    """Return a warning where colours of 16 bits hold those of a camera of 12, as the lower bits."""
    return DARK if np.quantile(image, 1 - OUTLIERS) < DARK_BELOW else ""


def _deep_grey_to_8_bit(grey: np.ndarray, *, from_white: bool = False) -> np.ndarray:
    """Scale by the smallest range that holds nearly all values, of floats or a sensor's bits."""
    grey = grey.astype(np.float64)
    finite = grey[np.isfinite(grey)]
    lowest, highest = np.quantile(finite, [OUTLIERS, 1 - OUTLIERS]) if finite.size else (0.0, 0.0)
    ranges = (1, *(2**bits - 1 for bits in SENSOR_BITS))
    full = next((top for top in ranges if highest <= top), highest)
    if from_white:
        return _deep_grey_to_8_bit(full - grey)
    grey = np.nan_to_num(grey, nan=0.0, posinf=full, neginf=-full)
    if lowest < -SIGNED_FROM * full:
        grey, full = grey + full, 2 * full
    return (grey / full * 255).round().clip(0, 255).astype(np.uint8)


def in_srgb(photo_bgr: np.ndarray, profile: bytes | None) -> np.ndarray:
    """Convert colours of another profile to those that screens take pictures for without one.

    The model is asked about the photo as it is stored, as in training; what people see is this.
    """
    if not profile or len(profile) > MOST_PROFILE_BYTES:
        return photo_bgr
    try:
        stored = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = stored.profile.profile_description or ""
        if stored.profile.xcolor_space.strip() != "RGB" or "sRGB" in name:
            return photo_bgr
        photo = Image.fromarray(np.ascontiguousarray(photo_bgr[:, :, ::-1]))
        shown = ImageCms.profileToProfile(photo, stored, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return photo_bgr  # what is no profile says nothing
    return np.asarray(shown)[:, :, ::-1]


def upright(image: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF orientation says; the same one where there is nothing to turn."""
    turn = UPRIGHT_BY_ORIENTATION.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where a picture has none or its EXIF block is broken."""
    if image.format == "TIFF":
        return 1  # Pillow turns TIFFs by itself, their size already when it opens them
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except (SyntaxError, ValueError, TypeError, OverflowError, OSError, struct.error):
        return 1  # as detectron2: a picture whose EXIF block is broken is taken as it is


def turned(image: np.ndarray, exif_orientation: int) -> np.ndarray:
    """Turn an array as its EXIF orientation says, as a view."""
    if exif_orientation in (2, 3, 7):
        image = image[:, ::-1]
    if exif_orientation in (3, 4, 7):
        image = image[::-1]
    if exif_orientation in (5, 7):
        return image.swapaxes(0, 1)
    return np.rot90(image, {6: -1, 8: 1}.get(exif_orientation, 0))


def scale(image: np.ndarray, factor: float) -> np.ndarray:
    """Resize a picture (H, W, 3) uint8 by a factor, to at least one pixel."""
    height, width = image.shape[:2]
    return resize(image, (max(1, round(width * factor)), max(1, round(height * factor))))


def resize(image: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Resize a picture (H, W, 3) uint8 to a width and height.

    Where it shrinks, each new pixel is the mean of those that it covers; where it grows, it lies on
    a smooth curve through them.
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
