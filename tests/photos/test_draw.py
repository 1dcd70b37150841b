"""Pictures: of the right size and kind, and none of a face where results are shared."""

from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from acnet.photos import draw as pictures
from acnet.photos.draw import (
    CROP_PX,
    MOST_CROPS,
    DrawingOptions,
    draw_saliency,
    lesion_crops,
    save_picture,
    schematic_svg,
    write_pictures,
)
from acnet.photos.results import arrays_of
from acnet.visualization.lesion_visualizer import draw_boxes
from tests.photos.samples import noise

ROWS = [{"category_id": 1, "bbox": [8.0, 4.0, 4.0, 4.0], "score": 0.9}]


def write(folder, *, hw=(64, 96), rows=ROWS, class_names=("acne",), draw=draw_boxes, **options):
    """Write the pictures of a dark photo, and return where they are by kind."""
    photo_bgr = np.full((*hw, 3), (10, 20, 30), np.uint8)
    given = {"class_names": class_names, "draw_boxes": draw, "score_threshold": 0.5}
    given |= {"saliency": options.pop("saliency", None), "options": DrawingOptions(**options)}
    return write_pictures(folder, "photo", photo_bgr, *arrays_of(rows), **given)


def test_a_photo_has_a_picture_and_for_the_page_the_photo_alone_and_a_small_one(tmp_path):
    kinds = ("picture", "photo", "thumbnail")
    assert write(tmp_path) == {kind: f"{kind}s/photo.jpg" for kind in kinds}
    for kind in ("photos", "thumbnails"):
        with Image.open(tmp_path / kind / "photo.jpg") as image:
            assert image.size == (96, 64)
    files = write(tmp_path, suffix=".png", attention=True, saliency=np.ones((8, 12), np.float32))
    assert files["attention"] == "attention/photo.png"
    assert files["picture"] == "pictures/photo.png"


@pytest.mark.parametrize(
    ("options", "boxes", "expected"),
    [
        ({}, 20, "0.90"),  # by default where boxes are few
        ({}, 21, None),
        ({"labels": "always"}, 21, "0.90"),
        ({"labels": "never"}, 1, None),
        ({"class_names": ["papule", "pustule"]}, 1, "papule 0.90"),
    ],
)
def test_labels_are_scores_with_names_where_there_are_several_classes(
    tmp_path, options, boxes, expected
):
    seen = []

    def draw(photo_rgb, boxes_xyxy, labels):
        seen.append(labels)
        return photo_rgb

    write(tmp_path, rows=ROWS * boxes, draw=draw, **options)
    assert seen == [None if expected is None else [expected] * boxes]


def test_shared_pictures_are_a_schematic_and_crops(tmp_path):
    files = {"schematic": "schematics/photo.svg", "crops": "crops/photo.jpg"}
    assert write(tmp_path, share=True) == files
    assert write(tmp_path, share=True, rows=[]) == {"schematic": files["schematic"]}


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


def coordinates(side: int = 256) -> np.ndarray:
    """Return a picture whose pixels tell their row (blue) and column (green)."""
    rows, columns = np.mgrid[:side, :side].astype(np.uint8)
    return np.dstack([rows, columns, np.zeros_like(rows)])


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


def test_a_schematic_is_the_outline_and_the_boxes():
    svg = schematic_svg((30, 40), boxes((1, 2, 5, 9), (10.25, 0, 20, 30)))
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("viewBox") == "0 0 40 30"
    assert root.find(f"{space}path").get("d") == "M1 2H5V9H1ZM10.2 0H20V30H10.2Z"
    assert root.find(f"{space}image") is None
    assert ElementTree.fromstring(schematic_svg((30, 40), boxes())) is not None


def test_a_crop_shows_the_lesion_and_half_its_size_around_it():
    def crop(*box_xyxy):
        sheet = lesion_crops(coordinates(), boxes(box_xyxy))
        return sheet[4 : 4 + CROP_PX, 4 : 4 + CROP_PX].astype(int)

    # A box of 16 x 16 at (100, 60): the window is 24 wide, from (96, 56) to (120, 80).
    rows, columns, _ = np.moveaxis(crop(100, 60, 116, 76), 2, 0)
    assert [rows.min(), rows.max(), columns.min()] == pytest.approx([56, 79, 96], abs=1)
    # At the edge it is moved inward.
    columns = crop(248, 0, 264, 16)[..., 1]
    assert columns.shape == (CROP_PX, CROP_PX)
    assert columns.max() >= 254
    assert columns.min() >= 231


def test_boxes_that_could_hold_an_eye_are_not_shown_and_others_up_to_a_limit():
    # An eighth of 256 is 32.
    assert lesion_crops(coordinates(), boxes((0, 0, 33, 8))) is None
    assert lesion_crops(coordinates(), boxes((0, 0, 32, 8))) is not None
    assert lesion_crops(coordinates(), boxes()) is None
    many = boxes(*[(x, y, x + 8, y + 8) for y in range(0, 240, 10) for x in range(0, 240, 10)])
    assert len(many) > MOST_CROPS
    # 8 rows of 8 with white around each: the last of the first row is that at (70, 0).
    sheet = lesion_crops(coordinates(), many)
    assert sheet.shape[:2] == (804, 804)
    assert (sheet[::100] == 255).all()
    assert (sheet[:, 800:] == 255).all()
    assert abs(int(sheet[50, 750, 1]) - 74) <= 1


def test_no_saliency_leaves_the_photo_unchanged_and_a_small_one_is_enlarged():
    picture = noise(1000, 1000)
    np.testing.assert_array_equal(draw_saliency(picture, np.zeros((125, 125))), picture)
    assert draw_saliency(picture[:320, :320], np.zeros((40, 40))).shape == (960, 960, 3)


def test_full_saliency_mixes_the_last_colour_in_by_the_opacity():
    # viridis ends at (0.993248, 0.906157, 0.143936): 0.75 of it and 0.25 of a black photo.
    result = draw_saliency(np.zeros((1000, 1000, 3), np.uint8), np.ones((5, 5)), opacity=0.75)
    expected = 255 * 0.75 * np.array([0.993248, 0.906157, 0.143936])
    np.testing.assert_array_equal(result[500, 500], expected.round().astype(np.uint8))
    assert (result == result[0, 0]).all()


def test_salient_cell_covers_its_place_in_the_photo():
    saliency = np.zeros((10, 20))
    saliency[2, 15] = 1  # the centre of this cell is at y = 250, x = 1550 of 1000 x 2000
    black = np.zeros((1000, 2000, 3), np.uint8)
    rows, columns, _ = np.nonzero(draw_saliency(black, saliency))
    assert rows.mean() == pytest.approx(250, abs=2)
    assert columns.mean() == pytest.approx(1550, abs=2)
