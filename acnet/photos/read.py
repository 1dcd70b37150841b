"""Reading and writing pictures: sizes as decoded, orientation applied, no half picture accepted."""

import contextlib
import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from acnet.data.picture_plugins import HEIF_REMEDY, HEIF_SUFFIXES, register_plugins
from acnet.errors import UnreadableFileError
from acnet.files import atomic_write

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
SIDEWAYS = (5, 6, 7, 8)
# What libjpeg-turbo decodes to the pixels that Pillow gives; CMYK is Pillow's to convert.
JPEG_FORMATS = ("JPEG", "MPO")
JPEG_MODES = ("L", "RGB")


def read_size(path: str | os.PathLike) -> tuple[int, int]:
    """Reads the size that `read_bgr` would give, from the header alone.

    Args:
        path: a picture of any format that Pillow knows.

    Returns:
        Height and width in pixels, with the EXIF orientation applied.

    Raises:
        UnreadableFileError: it is no picture, or larger than Pillow deems safe.
    """
    with open_image(path) as image:
        width, height = image.size
        return (width, height) if orientation(image) in SIDEWAYS else (height, width)


def read_bgr(path: str | os.PathLike, content: bytes | None = None) -> np.ndarray:
    """Reads a picture whole; the same pixels as detectron2's `read_image(path, "BGR")`.

    Args:
        path: a picture of any format that Pillow knows.
        content: the file's bytes, where they were read already.

    Returns:
        (H, W, 3) uint8, with the EXIF orientation applied.

    Raises:
        UnreadableFileError: it is truncated, corrupt, no picture, or larger than Pillow deems safe.
    """
    return np.ascontiguousarray(read_bgr_view(path, content))


def read_bgr_view(path: str | os.PathLike, content: bytes | None = None) -> np.ndarray:
    """Reads as `read_bgr` does, without a second copy of a large JPEG that has to be turned.

    Args:
        path: a picture of any format that Pillow knows.
        content: the file's bytes, where they were read already.

    Returns:
        (H, W, 3) uint8, perhaps a turned view of the pixels as they are stored.

    Raises:
        UnreadableFileError: it is truncated, corrupt, no picture, or larger than Pillow deems safe.
    """
    with open_image(path, content) as image:
        if is_plain_jpeg(image):
            content = Path(path).read_bytes() if content is None else content
            image_bgr = _decode_jpeg(content)
            if image_bgr is not None:
                return _turned(image_bgr, orientation(image))
        rgb = upright(image).convert("RGB")
        return cv2.cvtColor(np.asarray(rgb), cv2.COLOR_RGB2BGR)


def is_plain_jpeg(image: Image.Image) -> bool:
    """Tells whether a picture is a grey or RGB JPEG, which is decoded without Pillow.

    Args:
        image: as opened.
    """
    return image.format in JPEG_FORMATS and image.mode in JPEG_MODES


def write_jpeg(path: str | os.PathLike, image_bgr: np.ndarray, quality: int) -> None:
    """Writes a JPEG atomically.

    Args:
        path: the file to write.
        image_bgr: (H, W, 3) uint8, may be a window of a larger picture.
        quality: 1 to 100.
    """
    _, encoded = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    with atomic_write(path) as temporary:
        temporary.write_bytes(encoded.data)


@contextlib.contextmanager
def open_image(path: str | os.PathLike, content: bytes | None = None) -> Iterator[Image.Image]:
    """Opens a picture, and turns what decoders raise on broken content into one error.

    Args:
        path: a picture of any format that Pillow knows.
        content: the file's bytes, where they were read already.

    Yields:
        The picture, its pixels not yet read; reading them in the context is guarded too.

    Raises:
        UnreadableFileError: it is truncated, corrupt, no picture, or larger than Pillow deems safe.
        FileNotFoundError: there is no such file.
    """
    register_plugins()
    try:
        with Image.open(path if content is None else io.BytesIO(content)) as image:
            yield image
    except FileNotFoundError:
        raise
    # Pillow's decoders report broken content by any of these, see its docs on Image.open.
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error) as error:
        raise _unreadable(path, error) from error
    except Image.DecompressionBombError as error:
        raise _unreadable(path, error) from error


def upright(image: Image.Image) -> Image.Image:
    """Turns a picture as its EXIF orientation says.

    Args:
        image: as opened.

    Returns:
        The same picture where there is nothing to turn.
    """
    turn = UPRIGHT_BY_ORIENTATION.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation of a picture, 1 where it has none or its EXIF block is broken.

    Args:
        image: as opened.
    """
    if image.format == "TIFF":
        return 1  # Pillow turns TIFFs by itself, their size already when it opens them
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except (SyntaxError, ValueError, TypeError, OSError, struct.error):
        return 1  # as detectron2: a picture whose EXIF block is broken is taken as it is


def _decode_jpeg(content: bytes) -> np.ndarray | None:
    """Decodes a JPEG into one numpy array, in a third of Pillow's time; None where it complains.

    Pillow's buffers and their copy are in small pages of memory, whose first touch takes longer
    than the decoding of a large photo.
    """
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


def _unreadable(path: str | os.PathLike, error: Exception) -> UnreadableFileError:
    lacks_plugin = Path(path).suffix.lower() in HEIF_SUFFIXES and not register_plugins()
    remedy = HEIF_REMEDY if lacks_plugin else "Replace the file by an intact copy."
    return UnreadableFileError(
        f"A picture must decode whole, since its boxes refer to all of it. "
        f"Received {Path(path)}: {error}. {remedy}"
    )
