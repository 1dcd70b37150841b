"""Reading and writing pictures: sizes as decoded, orientation applied, no half picture accepted.

Two readers give upright 8-bit BGR. `read_bgr` is the training's and agrees with detectron2, which
takes every picture by Pillow's `convert("RGB")`. `read_photo` is the prediction's, for whatever a
phone, a clinic camera or a scanner writes. It agrees with the former on usual photos, and does
better on two unusual kinds: `convert` turns transparent parts into whatever colour lies under them,
and deep grey into white.
"""

import contextlib
import functools
import io
import math
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from acnet.errors import UnreadableFileError
from acnet.files import atomic_write

Photo: TypeAlias = str | os.PathLike | bytes | Image.Image | np.ndarray

# By content and not by name. Pillow knows more formats, and starts Ghostscript for one of them.
FORMATS = (
    *("JPEG", "MPO", "PNG", "TIFF", "WEBP", "BMP", "GIF", "HEIF", "AVIF", "JPEG2000", "PPM"),
)
HEIF_SUFFIXES = (".heic", ".heif", ".hif")
HEIF_REMEDY = "Install pillow-heif (`pip install pillow-heif`), or save the photo as JPEG."
RAW_SUFFIXES = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2")
RAW_REMEDY = "Export the photo as JPEG or TIFF from the camera's program."
EXIF_ORIENTATION = 274
TIFF_SUBFILE_TYPE, TIFF_REDUCED, TIFF_DNG_VERSION = 254, 1, 50706
TIFF_FRAMES = 16  # of which the first must be the largest
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
SIDEWAYS = (5, 6, 7, 8)
# What libjpeg-turbo decodes to the pixels that Pillow gives; CMYK is Pillow's to convert.
JPEG_FORMATS = ("JPEG", "MPO")
JPEG_MODES = ("L", "RGB")
PIXELS_PER_MEGAPIXEL = 1_000_000
MAX_MEGAPIXELS = 128.0  # beyond the largest phones' 108; 384 MB once decoded
_PILLOW_LIMIT = threading.RLock()  # Pillow's limit is one variable for the whole process
# What is stored in 16 or 32 bits was measured with one of these.
SENSOR_BITS = (8, 10, 12, 14, 16, 32)
# Of deep grey's pixels, at each end: single ones lie beyond the range, by resampling or a defect.
OUTLIERS = 0.001
SIGNED_FROM = 0.1  # of the range, that lies below 0 where grey goes from -1 to 1


def as_bgr(photo: Photo, *, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """Take a photo in any of the forms in which programs hold one.

    Args:
        photo: A path, a file's bytes, a PIL image, or an array (H, W, 3) uint8 in BGR, as
            `cv2.imread` gives it.
        max_megapixels: Refuse larger files by their header.

    Returns:
        (H, W, 3) uint8, BGR, upright.

    Raises:
        UnreadableFileError: A file is no picture, damaged, or too large.
        ValueError: It is none of these, or an array of another kind.
    """
    if isinstance(photo, bytes | bytearray | memoryview):
        return read_photo("photo", content=bytes(photo), max_megapixels=max_megapixels)
    if isinstance(photo, str | os.PathLike):
        return read_photo(photo, max_megapixels=max_megapixels)
    if isinstance(photo, Image.Image):
        return cv2.cvtColor(np.asarray(to_rgb(upright(photo))), cv2.COLOR_RGB2BGR)
    if not isinstance(photo, np.ndarray):
        raise ValueError(
            "A photo is a path, the bytes of a file, a PIL image, or an array (H, W, 3) uint8 in "
            f"BGR as cv2.imread gives it. Received {type(photo).__name__}; give one of these."
        )
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or photo.size == 0:
        is_grey = photo.ndim == 2 and photo.dtype == np.uint8
        remedy = "cv2.cvtColor(photo, cv2.COLOR_GRAY2BGR)" if is_grey else "it"
        raise ValueError(
            "A picture must be (H, W, 3) uint8 in BGR, as cv2.imread gives it. "
            f"Received shape {photo.shape} of {photo.dtype}; convert {remedy}."
        )
    return photo


def read_photo(
    path: str | os.PathLike, content: bytes | None = None, *, max_megapixels: float = MAX_MEGAPIXELS
) -> np.ndarray:
    """Read a photo of any of Pillow's modes.

    Of a JPEG the memory holds the file and its decoded pixels, nothing more; of other formats for
    a moment Pillow's own pixels as well.

    Args:
        path: The file. Of several frames the first is taken.
        content: The file's bytes, where they were read already.
        max_megapixels: Refuse larger photos by their header, before they fill the memory.

    Returns:
        (H, W, 3) uint8, BGR, upright by its EXIF orientation, perhaps as a view of pixels that lie
        otherwise; transparent parts are white.

    Raises:
        UnreadableFileError: It is no picture, cut short or damaged, or too large.
        FileNotFoundError: There is no such file.
    """
    with _no_limit_in_pillow():
        _check_size(path, read_size(path, content), max_megapixels)
        with open_image(path, content) as image:
            if not is_plain_jpeg(image):
                return cv2.cvtColor(np.asarray(to_rgb(upright(image))), cv2.COLOR_RGB2BGR)
        return read_bgr_view(path, content)


def _check_size(path: str | os.PathLike, image_hw: tuple[int, int], max_megapixels: float) -> None:
    megapixels = image_hw[0] * image_hw[1] / PIXELS_PER_MEGAPIXEL
    if megapixels > max_megapixels:
        raise UnreadableFileError(
            "A photo's pixels are held in memory, 3 bytes each, so their number is limited. "
            f"Received {path} of {image_hw[1]} x {image_hw[0]}, {megapixels:.1f} megapixels, "
            f"above the limit of {max_megapixels:g}. Make the photo smaller, or raise "
            "--max-megapixels (max_megapixels in Python) where there is memory for it."
        )


@contextlib.contextmanager
def _no_limit_in_pillow() -> Iterator[None]:
    """Let our limit take the place of Pillow's, which warns from 89 megapixels and refuses 179."""
    with _PILLOW_LIMIT:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a picture of any mode to 8-bit RGB, laid on white where it is transparent."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_deep_grey_to_8_bit(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _deep_grey_to_8_bit(grey: np.ndarray) -> np.ndarray:
    """Scale by the smallest range that holds nearly all values, of floats or a sensor's bits."""
    grey = grey.astype(np.float64)
    finite = grey[np.isfinite(grey)]
    lowest, highest = np.quantile(finite, [OUTLIERS, 1 - OUTLIERS]) if finite.size else (0.0, 0.0)
    ranges = (1, *(2**bits - 1 for bits in SENSOR_BITS))
    full = next((top for top in ranges if highest <= top), highest)
    grey = np.nan_to_num(grey, nan=0.0, posinf=full, neginf=-full)
    if lowest < -SIGNED_FROM * full:
        grey, full = grey + full, 2 * full
    return (grey / full * 255).round().clip(0, 255).astype(np.uint8)


def read_size(path: str | os.PathLike, content: bytes | None = None) -> tuple[int, int]:
    """Read the (H, W) that `read_bgr` would give, upright, from the header alone.

    Raises:
        UnreadableFileError: It is no picture, or larger than Pillow deems safe.
    """
    with open_image(path, content) as image:
        width, height = image.size
        return (width, height) if orientation(image) in SIDEWAYS else (height, width)


def read_bgr(path: str | os.PathLike, content: bytes | None = None) -> np.ndarray:
    """Read a picture whole; the same pixels as detectron2's `read_image(path, "BGR")`.

    Args:
        path: A picture of one of `FORMATS`.
        content: The file's bytes, where they were read already.

    Returns:
        (H, W, 3) uint8, with the EXIF orientation applied.

    Raises:
        UnreadableFileError: It is truncated, corrupt, no picture, or larger than Pillow deems safe.
    """
    return np.ascontiguousarray(read_bgr_view(path, content))


def read_bgr_view(path: str | os.PathLike, content: bytes | None = None) -> np.ndarray:
    """Read as `read_bgr` does, without a second copy of a large JPEG that has to be turned."""
    with open_image(path, content) as image:
        if is_plain_jpeg(image):
            content = Path(path).read_bytes() if content is None else content
            image_bgr = _decode_jpeg(content)
            if image_bgr is not None:
                return _turned(image_bgr, orientation(image))
        rgb = upright(image).convert("RGB")
        return cv2.cvtColor(np.asarray(rgb), cv2.COLOR_RGB2BGR)


def is_plain_jpeg(image: Image.Image) -> bool:
    """Tell whether a picture is a grey or RGB JPEG, which is decoded without Pillow."""
    return image.format in JPEG_FORMATS and image.mode in JPEG_MODES


def write_jpeg(path: str | os.PathLike, image_bgr: np.ndarray, quality: int) -> None:
    """Write a JPEG atomically: (H, W, 3) uint8, which may be a window; quality from 1 to 100."""
    _, encoded = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    with atomic_write(path) as temporary:
        temporary.write_bytes(encoded.data)


@contextlib.contextmanager
def open_image(path: str | os.PathLike, content: bytes | None = None) -> Iterator[Image.Image]:
    """Open a picture of one of `FORMATS`, and turn what decoders raise into one error.

    Args:
        path: The file.
        content: Its bytes, where they were read already.

    Yields:
        The picture, its pixels not yet read; reading them in the context is guarded too.

    Raises:
        UnreadableFileError: It is truncated, corrupt, no picture, or larger than Pillow deems safe.
        FileNotFoundError: There is no such file.
    """
    Image.init()
    register_plugins()
    formats = [name for name in FORMATS if name in Image.OPEN]
    try:
        source = path if content is None else io.BytesIO(content)
        with Image.open(source, formats=formats) as image:
            _check_not_raw(path, image)
            yield image
    except (FileNotFoundError, UnreadableFileError):
        raise
    # Pillow's decoders report broken content by any of these, see its docs on Image.open.
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error) as error:
        raise _unreadable(path, error) from error
    except Image.DecompressionBombError as error:
        raise _unreadable(path, error) from error


def _check_not_raw(path: str | os.PathLike, image: Image.Image) -> None:
    """Refuse files whose first picture is a small preview of the one that is meant."""
    is_raw = Path(path).suffix.lower() in RAW_SUFFIXES
    if is_raw or (image.format == "TIFF" and _begins_with_preview(image)):
        raise UnreadableFileError(
            "A raw photo, or a TIFF of several sizes, begins with a small preview, where lesions "
            f"would be missed. Received {path}, whose first picture is {image.size[0]} x "
            f"{image.size[1]}. {RAW_REMEDY}"
        )


def _begins_with_preview(image: Image.Image) -> bool:
    subfile_type = image.tag_v2.get(TIFF_SUBFILE_TYPE, 0)
    if TIFF_DNG_VERSION in image.tag_v2:
        return True
    if isinstance(subfile_type, int) and subfile_type & TIFF_REDUCED:
        return True
    first = image.size
    sizes = [first]
    with contextlib.suppress(EOFError, OSError, SyntaxError, ValueError):  # the first may be whole
        for frame in range(1, min(image.n_frames, TIFF_FRAMES)):
            image.seek(frame)
            sizes.append(image.size)
    if len(sizes) > 1:
        image.seek(0)
    return max(sizes, key=math.prod) != first


def _unreadable(path: str | os.PathLike, error: Exception) -> UnreadableFileError:
    suffix, remedy = Path(path).suffix.lower(), "Replace the file by an intact copy."
    if suffix in HEIF_SUFFIXES and not register_plugins():
        remedy = HEIF_REMEDY
    elif suffix in RAW_SUFFIXES:
        remedy = RAW_REMEDY
    elif isinstance(error, Image.DecompressionBombError):
        remedy = "Make the picture smaller."
    elif isinstance(error, Image.UnidentifiedImageError):
        remedy = f"Replace it by an intact {', '.join(FORMATS[:-1])} or {FORMATS[-1]} copy."
    return UnreadableFileError(
        f"A picture must decode whole, since its boxes refer to all of it. "
        f"Received {Path(path)}: {error}. {remedy}"
    )


@functools.cache
def register_plugins() -> bool:
    """Let Pillow read HEIC, the photos of iPhones; return whether pillow-heif is installed."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


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
    except (SyntaxError, ValueError, TypeError, OSError, struct.error):
        return 1  # as detectron2: a picture whose EXIF block is broken is taken as it is


def _decode_jpeg(content: bytes) -> np.ndarray | None:
    """Decode a JPEG into one numpy array, in a third of Pillow's time; None where it complains."""
    try:
        return simplejpeg.decode_jpeg(content, "BGR", strict=True)
    except ValueError:
        return None  # Pillow tells what is broken from what is only unusual


def _turned(image: np.ndarray, exif_orientation: int) -> np.ndarray:
    """`upright` for an array, as a view."""
    if exif_orientation in (2, 3, 7):
        image = image[:, ::-1]
    if exif_orientation in (3, 4, 7):
        image = image[::-1]
    if exif_orientation in (5, 7):
        return image.swapaxes(0, 1)
    return np.rot90(image, {6: -1, 8: 1}.get(exif_orientation, 0))
