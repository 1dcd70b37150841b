"""Pictures: of the right size, of the right kind, and none of a face where results are shared."""

import numpy as np
from PIL import Image

from acnet.inference import pictures
from acnet.inference.pictures import DrawingOptions, save_picture, write_pictures

ROWS = [{"category_id": 1, "bbox": [8.0, 4.0, 4.0, 4.0], "score": 0.9}]


def write(folder, *, hw=(64, 96), rows=ROWS, saliency=None, **options) -> dict[str, str]:
    photo_bgr = np.full((*hw, 3), (10, 20, 30), np.uint8)
    return write_pictures(
        folder,
        "photo",
        photo_bgr,
        rows,
        options=DrawingOptions(**options),
        class_names=["acne"],
        saliency=saliency,
    )


def test_a_photo_has_a_picture_and_a_thumbnail(tmp_path):
    assert write(tmp_path) == {"picture": "pictures/photo.jpg", "thumbnail": "thumbnails/photo.jpg"}
    with Image.open(tmp_path / "thumbnails" / "photo.jpg") as image:
        assert image.size == (96, 64)


def test_attention_and_format_are_chosen(tmp_path):
    files = write(tmp_path, suffix=".png", attention=True, saliency=np.ones((8, 12), np.float32))
    assert files["attention"] == "attention/photo.png"
    assert files["picture"] == "pictures/photo.png"


def test_shared_pictures_are_a_schematic_and_crops(tmp_path):
    assert write(tmp_path, share=True) == {
        "schematic": "schematics/photo.svg",
        "crops": "crops/photo.jpg",
    }
    assert write(tmp_path, share=True, rows=[]) == {"schematic": "schematics/photo.svg"}


def test_a_huge_photo_is_drawn_smaller_with_its_boxes(tmp_path, monkeypatch):
    # At most 1,000,000 pixels: 1000 x 4000 becomes 500 x 2000, and a box at (800, 400) is at
    # (400, 200).
    monkeypatch.setattr(pictures, "MAX_PICTURE_PIXELS", 1_000_000)
    rows = [{"category_id": 1, "bbox": [800.0, 400.0, 400.0, 400.0], "score": 0.9}]
    write(tmp_path, hw=(1000, 4000), rows=rows, suffix=".png", labels="never")
    picture = np.asarray(Image.open(tmp_path / "pictures" / "photo.png")).astype(int)
    assert picture.shape == (500, 2000, 3)
    blue = np.nonzero(picture[..., 2] > 150)
    assert abs(blue[0].min() - 200) < 6
    assert abs(blue[1].min() - 400) < 6
    assert abs(blue[1].max() - 600) < 6


def test_a_picture_holds_pixels_alone(tmp_path):
    for suffix in (".jpg", ".png"):
        path = tmp_path / f"a{suffix}"
        save_picture(path, np.zeros((4, 4, 3), np.uint8))
        with Image.open(path) as image:
            assert not image.getexif()
            assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
