"""The same pixels without OpenCV as with it, and boxes drawn without detectron2."""

import numpy as np
import pytest

from acnet.photos import box_painter, decode
from acnet.photos.draw import PREDICTION_COLOR
from acnet.photos.results import photo_traits
from tests.photos.samples import noise


def without_opencv(monkeypatch, function, *arguments):
    """Return the results with OpenCV and without it."""
    expected = function(*arguments)
    monkeypatch.setattr(decode, "cv2", None)
    return expected, function(*arguments)


@pytest.mark.parametrize("factor", [0.13, 0.2, 0.5, 0.566, 0.8, 1.0])
@pytest.mark.parametrize("hw", [(90, 77), (160, 240), (1, 300)])
def test_shrinking_takes_the_same_means(monkeypatch, hw, factor):
    size_wh = tuple(max(1, round(side * factor)) for side in hw[::-1])
    expected, ours = without_opencv(monkeypatch, decode.resize, noise(*hw), size_wh)
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("factor", [1.25, 2.0, 3.3])
def test_growing_follows_the_same_curve(monkeypatch, factor):
    image = noise(90, 77)
    size_wh = (round(77 * factor), round(90 * factor))
    expected, ours = without_opencv(monkeypatch, decode.resize, image, size_wh)
    differences = np.abs(ours.astype(int) - expected)
    assert differences.max() <= 1  # rounding
    assert (differences > 0).mean() < 1e-3


@pytest.mark.parametrize("hw", [(400, 300), (128, 5), (3, 3)])
def test_photos_have_the_same_traits(monkeypatch, hw):
    expected, ours = without_opencv(monkeypatch, photo_traits, noise(*hw))
    np.testing.assert_allclose(ours, expected, atol=0.01)


def test_a_box_is_framed_outside_with_a_rim():
    photo = np.full((960, 960, 3), 200, np.uint8)
    boxes = np.array([[100.0, 200.0, 300.0, 400.0], [-50.0, 900.0, 50.0, 1000.0]])
    drawn = box_painter.draw_boxes(photo, boxes)
    assert (photo == 200).all()
    assert (drawn[200:400, 100:300] == 200).all()  # the lesion is free
    line = drawn[300, 98].astype(int)  # 0.9 of the colour, over the rim
    assert np.abs(line - (12 + 0.9 * 255 * np.array(PREDICTION_COLOR))).max() <= 1
    assert (drawn[300, 96] < 200).all()
    labelled = box_painter.draw_boxes(photo, boxes, ["0.90", "0.80"])
    assert (labelled[180:198, 100:130] != drawn[180:198, 100:130]).any()
