"""Reading and writing pictures: sizes as decoded, orientation applied, no half picture accepted."""

import contextlib
import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from acnet.data.files import atomic_write
from acnet.errors import UserError

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


class UnreadableFileError(UserError):
    """A file is there and is not what its name says: truncated, corrupt or hostile."""


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
        return (width, height) if _orientation(image) in SIDEWAYS else (height, width)


def read_bgr(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture whole; the same pixels as detectron2's `read_image(path, "BGR")`.

    Args:
        path: a picture of any format that Pillow knows.

    Returns:
        (H, W, 3) uint8, with the EXIF orientation applied.

    Raises:
        UnreadableFileError: it is truncated, corrupt, no picture, or larger than Pillow deems safe.
    """
    return cv2.cvtColor(read_rgb(path), cv2.COLOR_RGB2BGR)


def read_rgb(path: str | os.PathLike, content: bytes | None = None) -> np.ndarray:
    """Reads a picture whole; the pixels of `read_bgr` in Pillow's order of colours.

    Args:
        path: a picture of any format that Pillow knows.
        content: the file's bytes, where they were read already.

    Returns:
        (H, W, 3) uint8, with the EXIF orientation applied; not to be written to.

    Raises:
        UnreadableFileError: see `read_bgr`.
    """
    with open_image(path, content) as image:
        turned = upright(image)
        # Pillow's conversion of RGB to RGB is one more copy of all pixels.
        return np.asarray(turned if turned.mode == "RGB" else turned.convert("RGB"))


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
    try:
        with Image.open(path if content is None else io.BytesIO(content)) as image:
            yield image
    except FileNotFoundError:
        raise
    # Pillow's decoders report broken content by any of these, see its docs on Image.open.
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
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
    turn = UPRIGHT_BY_ORIENTATION.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _unreadable(path: str | os.PathLike, error: Exception) -> UnreadableFileError:
    return UnreadableFileError(
        f"A picture must decode whole, since its boxes refer to all of it. "
        f"Received {Path(path)}: {error}. Replace the file by an intact copy."
    )


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except (SyntaxError, ValueError, TypeError, OSError, struct.error):
        return 1  # as detectron2: a picture whose EXIF block is broken is taken as it is
