"""Schematics, crops and thumbnails."""

from xml.etree import ElementTree

import numpy as np

from acnet.visualization.lesion_crops import CROP_PX, MOST_CROPS, lesion_crops
from acnet.visualization.schematic import schematic_svg
from acnet.visualization.thumbnail import LONGEST_PX, draw_thumbnail


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


def test_a_schematic_without_boxes_is_the_outline():
    assert ElementTree.fromstring(schematic_svg((30, 40), boxes())) is not None


def test_a_crop_shows_the_lesion_and_half_its_size_around_it():
    # A box of 16 x 16 at (100, 60): the window is 24 wide, from (96, 56) to (120, 80).
    sheet = lesion_crops(coordinates(), boxes((100, 60, 116, 76)))
    crop = sheet[4 : 4 + CROP_PX, 4 : 4 + CROP_PX].astype(int)
    assert abs(crop[..., 0].min() - 56) <= 1
    assert abs(crop[..., 0].max() - 79) <= 1
    assert abs(crop[..., 1].min() - 96) <= 1
    assert abs(crop[..., 1].max() - 119) <= 1


def test_a_crop_at_the_edge_is_moved_inward():
    sheet = lesion_crops(coordinates(), boxes((248, 0, 264, 16)))
    crop = sheet[4 : 4 + CROP_PX, 4 : 4 + CROP_PX].astype(int)
    assert crop.shape == (CROP_PX, CROP_PX, 3)
    assert crop[..., 1].max() >= 254
    assert crop[..., 1].min() >= 231


def test_boxes_that_could_hold_an_eye_are_not_shown():
    # An eighth of 256 is 32.
    assert lesion_crops(coordinates(), boxes((0, 0, 33, 8))) is None
    assert lesion_crops(coordinates(), boxes((0, 0, 32, 8))) is not None


def test_no_boxes_are_no_crops():
    assert lesion_crops(coordinates(), boxes()) is None


def test_the_number_of_crops_is_limited():
    many = boxes(*[(x, y, x + 8, y + 8) for y in range(0, 240, 10) for x in range(0, 240, 10)])
    assert len(many) > MOST_CROPS
    assert lesion_crops(coordinates(), many).shape[:2] == (804, 804)


def test_a_thumbnail_is_small_with_boxes_where_they_are():
    # 960 wide to 480: the box from 200 to 400 has its left side at 100.
    thumbnail = draw_thumbnail(np.zeros((320, 960, 3), np.uint8), boxes((200, 100, 400, 200)))
    assert thumbnail.shape == (160, LONGEST_PX, 3)
    assert thumbnail[75, 100].tolist() == [0, 230, 255]
    assert thumbnail[75, 150].tolist() == [0, 0, 0]


def test_a_small_photo_keeps_its_size_and_a_thin_one_a_pixel():
    photo = coordinates(32)
    np.testing.assert_array_equal(draw_thumbnail(photo, boxes()), photo)
    assert draw_thumbnail(np.zeros((1, 5000, 3), np.uint8), boxes()).shape == (1, 480, 3)
