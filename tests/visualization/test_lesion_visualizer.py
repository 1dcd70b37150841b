"""Boxes on photos: only near the boxes does the picture differ, and small lesions stay visible."""

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances

from acnet.photos.draw import PREDICTION_COLOR
from acnet.visualization.lesion_visualizer import (
    GROUND_TRUTH_COLOR,
    BoxPainter,
    above_threshold,
    draw_comparison,
    draw_predictions,
)

GREY = 90


def photo(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def detections(boxes_xyxy, scores) -> Instances:
    instances = Instances((1000, 1000))
    instances.pred_boxes = Boxes(torch.tensor(boxes_xyxy, dtype=torch.float32).reshape(-1, 4))
    instances.scores = torch.tensor(scores, dtype=torch.float32)
    instances.pred_classes = torch.zeros(len(scores), dtype=torch.int64)
    return instances


def changed(picture: np.ndarray) -> np.ndarray:
    """Return where a picture of the grey photo is not grey, (H, W) bool."""
    return (picture != GREY).any(axis=2)


def assert_line_of(picture: np.ndarray, color: tuple[float, float, float]) -> None:
    """Look for the colour on the left line of a box at 300 to 500 and 400 to 600."""
    line = picture[450:550, 296:302].reshape(-1, 3).astype(int)
    strongest = line[np.abs(line - GREY).sum(axis=1).argmax()]
    assert strongest == pytest.approx(np.array(color) * 255, abs=60)  # antialiased


def test_only_the_rim_of_a_box_changes():
    # One box of 200 px on a photo too large to be enlarged. Outside of it come its line of
    # 1000 * sqrt(2) / 900 = 1.57 px between two rims of 0.75 px, 3.07 px; antialiasing may touch
    # one pixel more.
    picture = draw_predictions(
        photo(1000, 1000), detections([[300, 400, 500, 600]], [0.9]), labels="never"
    )
    rows, columns = np.nonzero(changed(picture))
    assert picture.shape == (1000, 1000, 3)
    assert (rows.min(), rows.max()) == pytest.approx((400, 600), abs=4.1)
    assert (columns.min(), columns.max()) == pytest.approx((300, 500), abs=4.1)
    assert not changed(picture)[402:598, 302:498].any()
    assert_line_of(picture, PREDICTION_COLOR)
    assert not changed(draw_predictions(photo(1000, 1000), detections([], []))).any()


def test_small_photo_is_enlarged_and_its_boxes_with_it_and_small_boxes_stay_visible():
    large = draw_predictions(
        photo(3000, 4000), detections([[300, 400, 320, 420]], [0.9]), labels="never"
    )
    assert large.shape == (3000, 4000, 3)
    assert changed(large).any()
    assert not changed(large)[402:418, 302:318].any()
    picture = draw_predictions(
        photo(320, 240), detections([[40, 80, 80, 120]], [0.9]), labels="never"
    )
    rows, columns = np.nonzero(changed(picture))
    assert picture.shape == (960, 720, 3)  # 960 / 320 = 3 times
    assert (rows.min(), rows.max()) == pytest.approx((240, 360), abs=3)
    assert (columns.min(), columns.max()) == pytest.approx((120, 240), abs=3)


def test_the_threshold_is_inclusive_and_the_best_comes_first():
    instances = detections([[100, 100, 200, 200], [600, 600, 700, 700]], [0.5, 0.49])
    picture = draw_predictions(photo(1000, 1000), instances, labels="never")
    assert changed(picture)[:400].any()
    assert not changed(picture)[400:].any()
    kept = above_threshold(detections([[0, 0, 1, 1]] * 4, [0.5, 0.9, 0.49, 0.5]), 0.5)
    assert kept.scores.tolist() == pytest.approx([0.9, 0.5, 0.5])


def test_labels_appear_only_where_boxes_are_few():
    # Above the box is nothing but its label.
    one = detections([[300, 400, 500, 600]], [0.9])
    many = detections([[300, 400, 500, 600]] * 21, [0.9] * 21)
    above = np.s_[370:395, 300:400]
    assert changed(draw_predictions(photo(1000, 1000), one))[above].any()
    assert not changed(draw_predictions(photo(1000, 1000), many))[above].any()
    assert changed(draw_predictions(photo(1000, 1000), many, labels="always"))[above].any()
    # At the upper edge it goes below.
    picture = draw_predictions(photo(1000, 1000), detections([[300, 0, 500, 200]], [0.9]))
    assert changed(picture)[205:225, 300:400].any()


def test_names_are_written_where_there_are_several_classes():
    one = detections([[300, 400, 500, 600]], [0.9])
    short = changed(draw_predictions(photo(1000, 1000), one, class_names=["acne"]))
    long = changed(draw_predictions(photo(1000, 1000), one, class_names=["aeroplane", "bicycle"]))
    assert long[370:395].any(axis=0).sum() > 2 * short[370:395].any(axis=0).sum()


def test_comparison_shows_ground_truth_left_and_predictions_right():
    picture = draw_comparison(
        photo(1000, 1000), detections([[300, 400, 500, 600]], [0.9]), [[700, 100, 800, 200]]
    )
    left, bar, right = np.split(picture, [1000, 1008], axis=1)
    assert (bar == 255).all()
    assert changed(left)[100:200, 690:810].any()
    assert not changed(left)[300:].any()
    assert changed(right)[390:610, 290:510].any()
    assert not changed(right)[:300].any()
    under = draw_predictions(
        photo(1000, 1000), detections([], []), ground_truth_xyxy=[[300, 400, 500, 600]]
    )
    assert_line_of(under, GROUND_TRUTH_COLOR)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="Received 'some'"):
        draw_predictions(photo(10, 10), detections([], []), labels="some")
    with pytest.raises(ValueError, match="zip"):
        BoxPainter(photo(10, 10)).paint(np.zeros((1, 4)), color=PREDICTION_COLOR, labels=["a", "b"])
