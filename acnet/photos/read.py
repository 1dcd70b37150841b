"""Reading and writing pictures: sizes as decoded, orientation applied, no half picture accepted.

Two readers give upright 8-bit BGR. `read_bgr` is the training's and agrees with detectron2, which
takes every picture by Pillow's `convert("RGB")`. `read_photo` is the prediction's, for whatever a
phone, a clinic camera or a scanner writes. It agrees with the former on usual photos and on deep
grey, which `convert` turns into white, and does better on transparent parts, which `convert` turns
into whatever colour lies under them.
"""

import contextlib
import functools
import io
import logging
import math
import os
import re
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from acnet.errors import UnreadableFileError
from acnet.file_names import RAW_SUFFIXES
from acnet.photos import decode
from acnet.photos.decode import check_scans, orientation, to_rgb, turned, upright

logger = logging.getLogger(__name__)

Photo: TypeAlias = str | os.PathLike | bytes | Image.Image | np.ndarray

# By content and not by name. Pillow knows more formats, and starts Ghostscript for one of them.
FORMATS = (
    *("JPEG", "MPO", "PNG", "TIFF", "WEBP", "BMP", "GIF", "HEIF", "AVIF", "JPEG2000", "PPM"),
)
HEIF_SUFFIXES = (".heic", ".heif", ".hif")
HEIF_HEAD = re.compile(rb"....ftyp(hei|hev|mif1|msf1)", re.DOTALL)  # perhaps in a .jpg
JPEG_HEAD = b"\xff\xd8\xff"
HEIF_REMEDY = "Install pillow-heif (`pip install pillow-heif`), or save the photo as JPEG."
RAW_REMEDY = "Export the photo as JPEG or TIFF from the camera's program."
TIFF_SUBFILE_TYPE, TIFF_REDUCED, TIFF_DNG_VERSION = 254, 1, 50706
TIFF_OLD_SUBFILE_TYPE, TIFF_OLD_REDUCED, TIFF_SUB_PICTURES = 255, 2, 330
TIFF_WIDTH, TIFF_HEIGHT, BIG_TIFF, TIFF_HEAD_BYTES = 256, 257, 43, 16  # of others half as many
TIFF_FRAMES = 16  # of which the first must be the largest
SIDEWAYS = (5, 6, 7, 8)
# What libjpeg-turbo decodes to the pixels that detectron2 trains on.
JPEG_FORMATS = ("JPEG", "MPO")
JPEG_MODES = ("L", "RGB")
# Pillow's decoders report broken content by any of these, see its docs on Image.open.
BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error),
    Image.DecompressionBombError,
)
PIXELS_PER_MEGAPIXEL = 1_000_000
MAX_MEGAPIXELS = 128.0  # beyond the largest phones' 108; 384 MB once decoded
MAX_SIDE = 65_535  # px: a JPEG's own limit; a longer strip is no photo, and takes hours
_PILLOW_LIMIT = threading.RLock()  # Pillow's limit is one variable for the whole process


def as_bgr(photo: Photo, *, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """Take a photo in any form in which programs hold one: (H, W, 3) uint8, BGR, upright.

    Args:
        photo: A path, a file's bytes, a PIL image, or an array (H, W, 3) uint8 in BGR, as
            `cv2.imread` gives it.
        max_megapixels: Refuse larger files by their header.

    Raises:
        UnreadableFileError: A file is no picture, damaged, or too large.
        ValueError: It is none of these, or an array of another kind.
    """
    if isinstance(photo, bytes | bytearray | memoryview):
        return read_photo("photo", content=bytes(photo), max_megapixels=max_megapixels)
    if isinstance(photo, str | os.PathLike):
        return read_photo(photo, max_megapixels=max_megapixels)
    if isinstance(photo, Image.Image):
        return _bgr(to_rgb(upright(photo)))
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


@dataclass(frozen=True)
class PhotoFile:
    """What a photo's file holds."""

    # (H, W, 3) uint8, upright, perhaps as a view of pixels that lie otherwise.
    image_bgr: np.ndarray
    warning: str = ""  # what is wrong with the file, though it could be read
    profile: bytes | None = None  # what its colours mean, where it says so (ICC)


def read_photo(
    path: str | os.PathLike, content: bytes | None = None, *, max_megapixels: float = MAX_MEGAPIXELS
) -> np.ndarray:
    """Do as `read_photo_file`, but return the pixels alone, and log what is wrong with the file."""
    photo = read_photo_file(path, content, max_megapixels=max_megapixels)
    if photo.warning:
        logger.warning("%s: %s", path, photo.warning)
    return photo.image_bgr


def read_photo_file(
    path: str | os.PathLike, content: bytes | None = None, *, max_megapixels: float = MAX_MEGAPIXELS
) -> PhotoFile:
    """Read a photo of any of Pillow's modes, with what else decides how it is shown.

    Of a JPEG the memory holds the file and its decoded pixels, nothing more; of other formats for
    a moment Pillow's own pixels as well. Larger photos than `max_megapixels` are refused by their
    header, before they fill the memory. Of several frames the first is taken. The photo is upright
    by its EXIF orientation; transparent parts are white. `content` are the file's bytes, where they
    were read already.

    Raises:
        UnreadableFileError: It is no picture, cut short or damaged, or too large.
        FileNotFoundError: There is no such file.
    """
    with _no_limit_in_pillow():
        _check_size(path, read_size(path, content), max_megapixels)
        with open_image(path, content) as image:
            profile = image.info.get("icc_profile")
            if image.format in JPEG_FORMATS:
                content = Path(path).read_bytes() if content is None else content
                check_scans(path, content)
                found = decode.decode_damaged_jpeg(content, image.mode)
                if found is not None:
                    image_bgr, warning = found
                    return PhotoFile(turned(image_bgr, orientation(image)), warning, profile)
            is_deep = decode.is_deep(image)
            image_bgr = _bgr(to_rgb(upright(image)))
            dark = decode.dark_warning(image_bgr) if is_deep else ""
            several = decode.SEVERAL if _holds_more(image) else ""
            return PhotoFile(image_bgr, f"{dark} {several}".strip(), profile)


def _check_size(path: str | os.PathLike, image_hw: tuple[int, int], max_megapixels: float) -> None:
    if max(image_hw) > MAX_SIDE:
        raise UnreadableFileError(
            f"A photo's sides have at most {MAX_SIDE:,} pixels, as a JPEG's have. "
            f"Received {path} of {image_hw[1]} x {image_hw[0]}. Cut or shrink it."
        )
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


def read_size(path: str | os.PathLike, content: bytes | None = None) -> tuple[int, int]:
    """Read the (H, W) that `read_bgr` would give, upright, from the header alone.

    Raises:
        UnreadableFileError: It is no picture, or larger than Pillow deems safe.
    """
    with open_image(path, content) as image:
        width, height = image.size
        return (width, height) if orientation(image) in SIDEWAYS else (height, width)


def read_bgr(path: str | os.PathLike, content: bytes | None = None) -> np.ndarray:
    """Read a picture whole, (H, W, 3) uint8, as detectron2's `read_image(path, "BGR")`.

    Grey of more than 8 bits is scaled to them, where detectron2 makes it white.

    Raises:
        UnreadableFileError: It is truncated, corrupt, no picture, or larger than Pillow deems safe.
    """
    with open_image(path, content) as image:
        if image.format in JPEG_FORMATS and image.mode in JPEG_MODES:
            content = Path(path).read_bytes() if content is None else content
            check_scans(path, content)
            image_bgr = decode.decode_jpeg(content)
            if image_bgr is not None:
                return np.ascontiguousarray(turned(image_bgr, orientation(image)))
        image = upright(image)
        return _bgr(to_rgb(image) if decode.is_deep_grey(image) else image.convert("RGB"))


def holds_deep_grey(path: str | os.PathLike, content: bytes | None = None) -> bool:
    """Tell whether a file holds grey of more than 8 bits, which JPEGs never do."""
    with io.BytesIO(content) if content is not None else Path(path).open("rb") as file:
        if file.read(len(JPEG_HEAD)) == JPEG_HEAD:
            return False
    with open_image(path, content) as image:
        return decode.is_deep_grey(image)


def _bgr(image: Image.Image) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1])


@contextlib.contextmanager
def open_image(path: str | os.PathLike, content: bytes | None = None) -> Iterator[Image.Image]:
    """Open a picture of one of `FORMATS`, and turn what decoders raise into one error.

    Its pixels are not yet read; reading them in the context is guarded too. `content` are its
    bytes, where they were read already.

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
            if image.info.get("progressive"):
                check_scans(path, Path(path).read_bytes() if content is None else content)
            yield image
    except (FileNotFoundError, UnreadableFileError):
        raise
    except BROKEN as error:
        raise _unreadable(path, content, error) from error


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
    if _is_preview(image) or TIFF_DNG_VERSION in image.tag_v2:
        return True
    sizes = [image.size, *_sizes_beneath(image), *(page.size for page in _further_pages(image))]
    return max(sizes, key=math.prod) != sizes[0]


def _is_preview(page: Image.Image) -> bool:
    """Tell whether a page of a TIFF says that it is smaller than the picture that is meant."""
    kind = page.tag_v2.get(TIFF_SUBFILE_TYPE, 0)
    is_reduced = isinstance(kind, int) and bool(kind & TIFF_REDUCED)
    return is_reduced or page.tag_v2.get(TIFF_OLD_SUBFILE_TYPE) == TIFF_OLD_REDUCED


def _further_pages(image: Image.Image) -> Iterator[Image.Image]:
    """Go to each page of a TIFF behind its first, and back in the end."""
    with contextlib.suppress(EOFError, OSError, SyntaxError, ValueError):  # the first may be whole
        for frame in range(1, min(image.n_frames, TIFF_FRAMES)):
            image.seek(frame)
            yield image
    if image.tell():
        image.seek(0)


def _sizes_beneath(image: Image.Image) -> list[tuple[int, int]]:
    """Read the sizes of pictures that a TIFF has beneath its first page."""
    places, sizes = image.tag_v2.get(TIFF_SUB_PICTURES, ()), []
    # The first may be whole.
    with contextlib.suppress(*BROKEN, TypeError, LookupError, OverflowError):
        image.fp.seek(0)
        head = image.fp.read(TIFF_HEAD_BYTES)
        head = head if head[2] == BIG_TIFF else head[: TIFF_HEAD_BYTES // 2]
        for place in (places if isinstance(places, tuple) else (places,))[:TIFF_FRAMES]:
            tags = ImageFileDirectory_v2(head)
            image.fp.seek(place)
            tags.load(image.fp)
            sizes.append((int(tags[TIFF_WIDTH]), int(tags[TIFF_HEIGHT])))
    return sizes


def _holds_more(image: Image.Image) -> bool:
    """Tell whether a picture that was decoded has further pages, but for previews, or frames."""
    with contextlib.suppress(*BROKEN):
        if image.format == "TIFF":
            previews = [_is_preview(page) for page in _further_pages(image)]  # each, to go back
            return not all(previews)
        return getattr(image, "is_animated", False)
    return False


def _unreadable(
    path: str | os.PathLike, content: bytes | None, error: Exception
) -> UnreadableFileError:
    suffix, remedy = Path(path).suffix.lower(), "Replace the file by an intact copy."
    is_heif = suffix in HEIF_SUFFIXES or HEIF_HEAD.match(_head(path, content))
    if is_heif and not register_plugins():
        remedy = HEIF_REMEDY
    elif suffix in RAW_SUFFIXES:
        remedy = RAW_REMEDY
    elif isinstance(error, Image.DecompressionBombError):
        remedy = "Make the picture smaller."
    elif isinstance(error, Image.UnidentifiedImageError):
        remedy = f"Replace it by an intact {', '.join(FORMATS[:-1])} or {FORMATS[-1]} copy."
    reason = "it is no such picture" if isinstance(error, Image.UnidentifiedImageError) else error
    return UnreadableFileError(
        f"A picture must decode whole, since its boxes refer to all of it. "
        f"Received {Path(path)}: {reason}. {remedy}"
    )


def _head(path: str | os.PathLike, content: bytes | None) -> bytes:
    if content is not None:
        return content[:12]
    with contextlib.suppress(OSError), Path(path).open("rb") as file:
        return file.read(12)
    return b""


@functools.cache
def register_plugins() -> bool:
    """Let Pillow read HEIC, the photos of iPhones; return whether pillow-heif is installed."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True
