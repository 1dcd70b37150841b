"""Pictures as training reads them: orientation, sizes as decoded, and JPEGs of every sort."""

import io

import numpy as np
import pytest
from detectron2.data.detection_utils import read_image
from numpy.testing import assert_array_equal
from PIL import Image

from acnet.errors import UnreadableFileError
from acnet.photos import decode
from acnet.photos.decode import write_jpeg
from acnet.photos.read import read_bgr, read_photo, read_size
from tests.photos.samples import noise


def picture(height: int = 12, width: int = 20) -> np.ndarray:
    """RGB without symmetry, so that each of the eight orientations looks different."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 12, y * 20, (x + 2 * y) * 4], axis=-1).astype(np.uint8)


def save_oriented(path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(picture()).save(path, exif=exif, quality=95)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_read_as_detectron2_reads_it(tmp_path, orientation):
    path = tmp_path / "a.jpg"
    save_oriented(path, orientation)
    image = read_bgr(path)
    assert_array_equal(image, read_image(str(path), "BGR"))
    # Tags 5 to 8 turn the picture by a quarter, so height and width change places.
    assert image.shape[:2] == read_size(path) == ((20, 12) if orientation >= 5 else (12, 20))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_other_colour_modes_are_read_as_detectron2_reads_them(tmp_path, mode):
    image = Image.fromarray(picture())
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    (image.convert("L") if mode == "LA" else image).convert(mode).save(path)
    ours = read_bgr(path)
    assert_array_equal(ours, read_image(str(path), "BGR"))
    assert ours.shape == (12, 20, 3)


def test_deep_grey_is_not_white_as_detectron2_reads_it(tmp_path):
    for factor, path in ((257, tmp_path / "a.tif"), (1, tmp_path / "a.png")):
        Image.fromarray(picture()[..., 0].astype(np.uint16) * factor).save(path)
        expected = np.repeat(picture()[..., :1], 3, axis=2)
        assert_array_equal(read_bgr(path), read_photo(path))
        assert np.abs(read_bgr(path).astype(int) - expected).max() <= 1


def test_a_broken_exif_block_does_not_hide_the_picture(tmp_path):
    jpeg, png = tmp_path / "a.jpg", tmp_path / "a.png"
    save_oriented(jpeg, 6)
    content = jpeg.read_bytes()
    for order in (b"II", b"MM"):
        content = content.replace(b"Exif\0\0" + order, b"Exif\0\0QQ")
    jpeg.write_bytes(content)
    Image.fromarray(picture()).save(png, exif=b"Exif\0\0MM\0")
    for path in (jpeg, png):
        assert_array_equal(read_bgr(path), read_image(str(path), "BGR"))
        assert read_size(path) == read_bgr(path).shape[:2] == (12, 20)


# Pillow starts Ghostscript for PostScript, whatever the file is called.
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize(
    "content", [b"", b"not a picture", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", POSTSCRIPT]
)
@pytest.mark.parametrize("read", [read_bgr, read_size])
def test_what_is_no_picture_is_refused_by_name_and_content(tmp_path, content, read):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=r"a\.jpg.*intact JPEG, MPO.* copy\.$"):
        read(path)


def test_a_decompression_bomb_is_refused_and_a_missing_file_is_called_missing(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # the picture has 240, more than twice
    Image.fromarray(picture()).save(tmp_path / "a.png")
    with pytest.raises(UnreadableFileError, match="decompression bomb"):
        read_bgr(tmp_path / "a.png")

    with pytest.raises(FileNotFoundError):
        read_bgr(tmp_path / "b.png")


def test_a_jpeg_of_a_window_holds_the_window(tmp_path):
    image = np.zeros((40, 60, 3), np.uint8)
    image[8:24, 16:48] = (10, 200, 100)
    write_jpeg(tmp_path / "a.jpg", image[8:24, 16:48], 95)
    read = read_bgr(tmp_path / "a.jpg")
    assert read.shape == (16, 32, 3)
    assert np.abs(read.astype(int) - [10, 200, 100]).max() <= 3


SHARP = Image.fromarray(noise(9, 12)).resize((117, 83), Image.Resampling.BICUBIC)


@pytest.fixture
def decoded(monkeypatch) -> list[bool]:
    """Tells for each picture read whether the fast decoder took it."""
    taken = []
    decode_jpeg = decode.decode_jpeg

    def spy(content):
        image = decode_jpeg(content)
        taken.append(image is not None)
        return image

    monkeypatch.setattr(decode, "decode_jpeg", spy)
    return taken


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "settings",
    [
        *({"subsampling": value} for value in (0, 1, 2)),
        *({"quality": value} for value in (20, 100)),
        *({name: 1} for name in ("progressive", "optimize", "restart_marker_rows")),
        # A phone's photo with a second picture behind it.
        {"format": "MPO", "save_all": True, "append_images": [SHARP.rotate(180)]},
    ],
    ids=str,
)
def test_the_pixels_are_pillows(tmp_path, decoded, mode, settings):
    path = tmp_path / "a.jpg"
    SHARP.convert(mode).save(path, **{"format": "JPEG", **settings})
    assert Image.open(path).format == settings.get("format", "JPEG")
    assert_array_equal(read_bgr(path), read_image(str(path), "BGR"))
    assert decoded == [True]


def test_what_is_only_unusual_is_read_as_pillow_reads_it(tmp_path, decoded):
    path, buffer = tmp_path / "a.jpg", io.BytesIO()
    SHARP.convert("CMYK").save(path)
    assert_array_equal(read_bgr(path), read_image(str(path), "BGR"))
    assert decoded == []
    SHARP.save(buffer, "JPEG", quality=95)
    jpeg = buffer.getvalue()
    tables = jpeg.index(b"\xff\xdb")
    path.write_bytes(jpeg[:tables] + b"junk" + jpeg[tables:])  # between two markers
    expected = read_image(str(path), "BGR")
    assert_array_equal(read_bgr(path), expected)
    assert decoded == [False]
    path.write_bytes(jpeg + b"thousands of bytes that a phone adds")
    assert_array_equal(read_bgr(path), expected)
