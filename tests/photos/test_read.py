"""Photos of every kind and damage; `test_odd_files` has every mode, orientation and format."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from acnet.errors import UnreadableFileError
from acnet.photos import decode, read
from acnet.photos.decode import DARK
from acnet.photos.read import (
    as_bgr,
    read_bgr,
    read_photo,
    read_photo_file,
    read_size,
    register_plugins,
)
from tests.photos.samples import noise

RED_BGR = [0, 0, 255]


def save(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def test_usual_photos_read_as_in_training(voc100):
    for path in sorted((voc100 / "JPEGImages").iterdir())[:5]:
        np.testing.assert_array_equal(read_photo(path), read_bgr(path))


def test_transparent_parts_are_white(tmp_path):
    # Half-transparent black on white: 255 * (1 - 128 / 255) = 127.
    rgba = np.array([[[255, 0, 0, 0], [255, 0, 0, 255], [0, 0, 0, 128]]], np.uint8)
    path = save(Image.fromarray(rgba), tmp_path / "photo.png")
    np.testing.assert_array_equal(read_photo(path), [[[255] * 3, RED_BGR, [127] * 3]])
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.putpalette([0, 255, 0, 255, 0, 0])
    path = save(image, tmp_path / "photo.png", transparency=0)
    np.testing.assert_array_equal(read_photo(path), [[[255] * 3, RED_BGR]])


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (np.array([[0, 32768, 65535]], np.uint16), [0, 128, 255]),  # 32768 / 65535 * 255 = 127.5
        (np.array([[0, 2048, 4095]], np.uint16), [0, 128, 255]),  # 12 bits: 127.5
        (np.array([[0, 100, 255]], np.uint16), [0, 100, 255]),
        (np.array([[0, 32768, 65535]], np.int32), [0, 128, 255]),
        (np.array([[0, 500_000, 1_000_000]], np.int32), [0, 128, 255]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[-5, 100, 255]], np.float32), [0, 100, 255]),
        (np.array([[np.nan, np.nan, 1]], np.float32), [0, 0, 255]),
        (np.array([[0, 0, 0]], np.uint16), [0, 0, 0]),
        (np.array([[np.inf, 0.5, 1]], np.float32), [255, 128, 255]),
        (np.array([[-1, 0, 1]], np.float32), [0, 128, 255]),
    ],
)
def test_deep_grey_is_scaled_to_8_bits(tmp_path, stored, expected):
    path = save(Image.fromarray(stored), tmp_path / "photo.tif")
    np.testing.assert_array_equal(read_photo(path)[0], np.transpose([expected] * 3))


@pytest.mark.parametrize("reader", [read_photo, read_bgr])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.2, 0.5, 0.9, -40])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".gif", ".bmp"])
def test_a_truncated_photo_is_refused_by_name(tmp_path, suffix, kept, reader):
    path = save(Image.fromarray(noise(64, 64)), tmp_path / f"photo{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: kept if kept < 0 else int(kept * len(content))])
    with pytest.raises(UnreadableFileError, match=rf"photo\{suffix}.* copy\.$"):
        reader(path)
    if suffix in (".jpg", ".png") and kept in (0.5, 0.9, -40):  # the header is whole
        assert read_size(path) == (64, 64)


def test_avif_whose_pixels_are_damaged_is_refused(tmp_path):
    # Its decoder raises RuntimeError, unlike all others.
    path = save(Image.fromarray(noise(64, 64)), tmp_path / "photo.avif")
    content = path.read_bytes()
    start = content.index(b"mdat") + 4
    path.write_bytes(content[:start] + bytes(len(content) - start))
    with pytest.raises(UnreadableFileError, match=r"photo\.avif"):
        read_photo(path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("limit", [1_000_000, 400_000])
def test_pillows_own_limit_gives_way_to_ours_and_comes_back(tmp_path, monkeypatch, limit):
    # Between once and twice its limit Pillow would warn, above it would refuse.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    path = save(Image.new("L", (1500, 1000)), tmp_path / "photo.png")
    assert read_photo(path, max_megapixels=1.5).shape == (1000, 1500, 3)
    with pytest.raises(UnreadableFileError, match=r"1500 x 1000, 1\.5 megapixels, above the limit"):
        read_photo(path, max_megapixels=1.49)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_without_the_plugin_heic_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(read, "register_plugins", bool)  # False
    for name in ("photo.heic", "photo.jpg"):
        (tmp_path / name).write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(40))
        with pytest.raises(UnreadableFileError, match="pip install pillow-heif"):
            read_size(tmp_path / name)


def test_heic_is_read(tmp_path):
    pytest.importorskip("pillow_heif", reason="needs pillow-heif: pip install acnet[heic]")
    assert register_plugins()
    image = Image.new("RGB", (64, 48), (40, 40, 40))
    image.paste((255, 255, 255), (0, 0, 16, 16))
    path = tmp_path / "photo.heic"
    image.save(path, quality=90)
    assert read_size(path) == (48, 64)
    found = read_photo(path)
    assert found.shape == (48, 64, 3)
    np.testing.assert_allclose(found[4:12, 4:12], 255, atol=12)
    np.testing.assert_allclose(found[30:, 40:], 40, atol=12)


@pytest.mark.parametrize(
    ("full", "beyond"), [(1.0, 1.02), (1.0, np.inf), (1.0, 1e30), (4095, 4096), (255, 40000)]
)
def test_a_pixel_beyond_the_range_does_not_darken_the_others(tmp_path, full, beyond):
    dtype = np.uint16 if full > 1 else np.float32
    grey = np.full((64, 64), full / 2).astype(dtype)
    grey[0, :32] = full
    grey[5, 5] = beyond
    found = read_photo(save(Image.fromarray(grey), tmp_path / "photo.tif"))
    assert found[10, 10, 0] == pytest.approx(127.5, abs=1)
    assert found[5, 5, 0] == 255


@pytest.mark.parametrize(("full", "warning"), [(255, DARK), (4095, DARK), (65535, "")])
def test_colours_of_fewer_bits_than_their_16_are_told(tmp_path, full, warning):
    pixels = (noise(40, 40) / 255 * full).astype(np.uint16)
    for name in ("a.png", "a.ppm", "a.tif"):
        cv2.imwrite(str(tmp_path / name), pixels)
        assert read_photo_file(tmp_path / name).warning == warning


@pytest.mark.parametrize("reader", [read_photo, read_bgr])
@pytest.mark.parametrize("full", [4095, 65535])
def test_deep_grey_that_counts_from_white_is_turned(tmp_path, full, reader):
    stored = np.array([[full, full // 2, 0]], np.uint16)
    path = save(Image.fromarray(stored), tmp_path / "a.tif", tiffinfo={262: 0})
    np.testing.assert_array_equal(reader(path)[0, :, 0], [0, 128, 255])


@pytest.mark.parametrize("tag", [{254: 1}, {255: 2}, {50706: b"\x01\x04\x00\x00"}])
@pytest.mark.parametrize("name", ["photo.tif", "photo.dng"])
def test_a_raw_photo_is_not_taken_for_its_preview(tmp_path, name, tag):
    path = save(Image.new("RGB", (16, 16)), tmp_path / name, format="TIFF", tiffinfo=tag)
    with pytest.raises(UnreadableFileError, match=r"preview.*Export the photo as JPEG or TIFF"):
        read_photo(path)


@pytest.mark.parametrize(("first", "second", "is_taken"), [(32, 16, True), (16, 32, False)])
def test_the_first_of_several_sizes_must_be_the_largest(tmp_path, first, second, is_taken):
    frames = [Image.new("RGB", (side, side), "red") for side in (first, second)]
    path = save(frames[0], tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    if is_taken:
        np.testing.assert_array_equal(read_photo(path), np.full((first, first, 3), RED_BGR))
        return
    with pytest.raises(UnreadableFileError, match="whose first picture is 16 x 16"):
        read_photo(path)


@pytest.mark.parametrize(("page", "beneath", "is_taken"), [(32, 16, True), (16, 32, False)])
def test_a_photo_beneath_its_preview_is_missed(tmp_path, page, beneath, is_taken):
    # The second picture of a TIFF becomes one beneath the first, as Adobe and OME write it.
    frames = [Image.new("RGB", (side, side), "red") for side in (page, beneath)]
    options = {"append_images": frames[1:], "tiffinfo": {330: 0}}
    path = save(frames[0], tmp_path / "a.tif", save_all=True, **options)
    content = bytearray(path.read_bytes())
    first = int.from_bytes(content[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(content[first : first + 2], "little")
    tag = content.index(b"\x4a\x01", first)
    content[tag + 8 : tag + 12], content[end : end + 4] = content[end : end + 4], bytes(4)
    path.write_bytes(content)
    with Image.open(path) as image:
        assert image.n_frames == 1
    if is_taken:
        assert read_photo_file(path).warning == ""
        return
    with pytest.raises(UnreadableFileError, match="whose first picture is 16 x 16"):
        read_photo(path)


@pytest.mark.parametrize("place", [8, 10**6])  # in the pixels, and behind the end
def test_what_is_no_picture_beneath_does_no_harm(tmp_path, place):
    path = tmp_path / "a.tif"
    Image.new("L", (64, 48)).save(path, tiffinfo={330: place})
    assert read_size(path) == (48, 64)


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".webp", ".png", ".avif"])
def test_further_pictures_of_a_file_are_told(tmp_path, suffix):
    photos = [Image.fromarray(pixels) for pixels in (noise(40, 40), noise(40, 40)[::-1])]
    path = save(photos[0], tmp_path / f"a{suffix}", save_all=True, append_images=photos[1:])
    assert read_photo_file(path).warning == decode.SEVERAL
    path = save(photos[0], tmp_path / f"a{suffix}")
    assert read_photo_file(path).warning == ""


def test_the_preview_behind_a_photo_is_no_further_picture(tmp_path):
    photo, path = Image.fromarray(noise(40, 40)), tmp_path / "a.tif"
    preview = photo.resize((20, 20))
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    save(photo, path, save_all=True, append_images=[preview])
    assert read_photo_file(path).warning == ""


def test_every_form_of_a_photo_gives_the_same_pixels(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(Image.fromarray(noise(40, 60)), tmp_path / "photo.png", exif=exif)
    expected = read_photo(path)
    assert expected.shape == (60, 40, 3)
    with Image.open(path) as image:
        for form in (path, str(path), path.read_bytes(), image, expected):
            np.testing.assert_array_equal(as_bgr(form), expected)


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (None, r"Received NoneType; give one of these\.$"),
        (5, "Received int"),
        (np.zeros((4, 4), np.uint8), r"cv2\.cvtColor\(photo, cv2\.COLOR_GRAY2BGR\)\.$"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
    ],
)
def test_what_is_no_photo_is_one_clear_sentence(photo, message):
    with pytest.raises(ValueError, match=message):
        as_bgr(photo)
