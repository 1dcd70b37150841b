"""JPEGs of every sort: the fast decoder gives Pillow's pixels, and refuses what Pillow refuses."""

import io

import numpy as np
import pytest
from detectron2.data.detection_utils import read_image
from numpy.testing import assert_array_equal
from PIL import Image

from acnet.data import images
from acnet.data.images import read_bgr
from acnet.errors import UnreadableFileError

NOISE = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
SHARP = Image.fromarray(NOISE).resize((117, 83), Image.Resampling.BICUBIC)


@pytest.fixture
def decoded(monkeypatch) -> list[bool]:
    """Tells for each picture read whether the fast decoder took it."""
    taken = []
    decode = images._decode_jpeg

    def spy(content):
        image = decode(content)
        taken.append(image is not None)
        return image

    monkeypatch.setattr(images, "_decode_jpeg", spy)
    return taken


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "settings",
    [
        {"subsampling": 0},
        {"subsampling": 1},
        {"subsampling": 2},
        {"progressive": True},
        {"quality": 20},
        {"quality": 100},
        {"optimize": True},
        {"restart_marker_rows": 1},
    ],
    ids=str,
)
def test_the_pixels_are_pillows(tmp_path, decoded, mode, settings):
    path = tmp_path / "a.jpg"
    SHARP.convert(mode).save(path, "JPEG", **settings)
    assert_array_equal(read_bgr(path), read_image(str(path), "BGR"))
    assert decoded == [True]


def test_a_phones_photo_with_a_second_picture_behind_it(tmp_path, decoded):
    path = tmp_path / "a.jpg"
    second = SHARP.transpose(Image.Transpose.ROTATE_180)
    SHARP.save(path, "MPO", save_all=True, append_images=[second])
    assert Image.open(path).format == "MPO"
    assert_array_equal(read_bgr(path), read_image(str(path), "BGR"))
    assert decoded == [True]


def test_cmyk_is_left_to_pillow(tmp_path, decoded):
    path = tmp_path / "a.jpg"
    SHARP.convert("CMYK").save(path)
    assert_array_equal(read_bgr(path), read_image(str(path), "BGR"))
    assert decoded == []


def jpeg() -> bytes:
    buffer = io.BytesIO()
    SHARP.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def test_what_is_only_unusual_is_read_as_pillow_reads_it(tmp_path, decoded):
    path = tmp_path / "a.jpg"
    tables = jpeg().index(b"\xff\xdb")
    path.write_bytes(jpeg()[:tables] + b"junk" + jpeg()[tables:])  # between two markers
    expected = read_image(str(path), "BGR")
    assert_array_equal(read_bgr(path), expected)
    assert decoded == [False]
    path.write_bytes(jpeg() + b"thousands of bytes that a phone adds")
    assert_array_equal(read_bgr(path), expected)


@pytest.mark.parametrize("lost", [40, 500, 3000])
def test_a_truncated_photo_is_no_photo(tmp_path, lost):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg()[:-lost])
    with pytest.raises(UnreadableFileError, match=r"a\.jpg"):
        read_bgr(path)


def test_bytes_that_were_read_already(tmp_path):
    path = tmp_path / "is_not_read.jpg"
    (tmp_path / "a.jpg").write_bytes(jpeg())
    assert_array_equal(read_bgr(path, jpeg()), read_bgr(tmp_path / "a.jpg"))
