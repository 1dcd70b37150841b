"""Photos as data URIs: pixels only, small, and only from the given folder."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from acnet.errors import UserError
from acnet.visualization.report.pictures import photo_data_uri


def save(path, image_hw, **options):
    pixels = np.zeros((*image_hw, 3), np.uint8)
    pixels[: image_hw[0] // 2] = 255  # white above, black below
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def decode(uri: str) -> Image.Image:
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_large_photo_is_scaled_to_1000_px(tmp_path):
    save(tmp_path / "a.png", (1500, 2000))
    image = decode(photo_data_uri(tmp_path, "a.png", (1500, 2000)))
    assert image.size == (1000, 750)
    assert image.getpixel((500, 100)) == (255, 255, 255)
    assert image.getpixel((500, 700)) == (0, 0, 0)


def test_small_photo_keeps_its_size(tmp_path):
    save(tmp_path / "folder/a.png", (30, 40))
    assert decode(photo_data_uri(tmp_path, "folder/a.png", (30, 40))).size == (40, 30)


def test_only_pixels_are_kept_and_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees
    exif[270] = "patient 12"
    save(tmp_path / "a.jpg", (30, 40), exif=exif)
    uri = photo_data_uri(tmp_path, "a.jpg", (40, 30))
    assert dict(decode(uri).getexif()) == {}
    assert b"patient" not in base64.b64decode(uri.partition(",")[2])
    assert decode(uri).size == (30, 40)


def test_photo_of_another_size_is_refused(tmp_path):
    save(tmp_path / "a.png", (30, 40))
    with pytest.raises(UserError, match=r"a\.png of 40 x 30 px; give the folder"):
        photo_data_uri(tmp_path, "a.png", (40, 30))


def test_name_that_leads_out_of_the_folder_is_refused(tmp_path):
    save(tmp_path / "secret.png", (30, 40))
    (tmp_path / "photos").mkdir()
    for name in ("../secret.png", str(tmp_path / "secret.png")):
        with pytest.raises(UserError, match="not below"):
            photo_data_uri(tmp_path / "photos", name, (30, 40))


def test_missing_photo_names_the_remedy(tmp_path):
    with pytest.raises(UserError, match=r"'b\.png', which is not there; give the folder"):
        photo_data_uri(tmp_path, "b.png", (30, 40))
