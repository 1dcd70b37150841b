"""Boxes on photos: only near the boxes does the picture differ, and small lesions stay visible."""

import numpy as np
import pytest

from acnet.photos.draw import PREDICTION_COLOR
from acnet.visualization.lesion_visualizer import BoxPainter, draw_boxes

GREY = 90


def photo(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def drawn(boxes_xyxy, image_hw=(1000, 1000), labels=None) -> np.ndarray:
    """Draw boxes on a grey photo."""
    return draw_boxes(photo(*image_hw), np.array(boxes_xyxy, np.float32).reshape(-1, 4), labels)


def changed(picture: np.ndarray) -> np.ndarray:
    """Return where a picture of the grey photo is not grey, (H, W) bool."""
    return (picture != GREY).any(axis=2)


ONE = [[300, 400, 500, 600]]


def test_only_the_rim_of_a_box_changes():
    # One box of 200 px on a photo too large to be enlarged. Outside of it come its line of
    # 1000 * sqrt(2) / 900 = 1.57 px between two rims of 0.75 px, 3.07 px; antialiasing may touch
    # one pixel more.
    picture = drawn(ONE)
    rows, columns = np.nonzero(changed(picture))
    assert picture.shape == (1000, 1000, 3)
    assert (rows.min(), rows.max()) == pytest.approx((400, 600), abs=4.1)
    assert (columns.min(), columns.max()) == pytest.approx((300, 500), abs=4.1)
    assert not changed(picture)[402:598, 302:498].any()
    line = picture[450:550, 296:302].reshape(-1, 3).astype(int)
    strongest = line[np.abs(line - GREY).sum(axis=1).argmax()]
    assert strongest == pytest.approx(np.array(PREDICTION_COLOR) * 255, abs=60)  # antialiased
    assert not changed(drawn([])).any()


def test_small_photo_is_enlarged_and_its_boxes_with_it_and_small_boxes_stay_visible():
    large = drawn([[300, 400, 320, 420]], (3000, 4000))
    assert large.shape == (3000, 4000, 3)
    assert changed(large).any()
    assert not changed(large)[402:418, 302:318].any()
    picture = drawn([[40, 80, 80, 120]], (320, 240))
    rows, columns = np.nonzero(changed(picture))
    assert picture.shape == (960, 720, 3)  # 960 / 320 = 3 times
    assert (rows.min(), rows.max()) == pytest.approx((240, 360), abs=3)
    assert (columns.min(), columns.max()) == pytest.approx((120, 240), abs=3)


def test_a_label_stands_above_its_box_and_at_the_upper_edge_below():
    assert not changed(drawn(ONE))[370:395, 300:400].any()
    assert changed(drawn(ONE, labels=["0.90"]))[370:395, 300:400].any()
    assert changed(drawn([[300, 0, 500, 200]], labels=["0.90"]))[205:225, 300:400].any()
    with pytest.raises(ValueError, match="zip"):
        BoxPainter(photo(10, 10)).paint(np.zeros((1, 4)), color=PREDICTION_COLOR, labels=["a", "b"])
