"""Training curves as a picture."""

import cv2
import numpy as np

from acnet.visualization.training_curves import Curve, draw_training_curves

CURVES = [
    Curve(label="a", iterations=[[20, 40], [20, 40]], values=[[3.0, 1.0], [4.0, 2.0]]),
    Curve(label="b", iterations=[[20, 40]], values=[[2.0, 1.0]]),
]


def pixels(path) -> np.ndarray:
    return cv2.imread(str(path))


def test_panels_stand_beside_each_other_and_below(tmp_path):
    draw_training_curves({("I", "loss"): CURVES}, tmp_path / "one.png")
    panels = {("I", "loss"): CURVES, ("I", "AP"): CURVES, ("II", "loss"): CURVES}
    draw_training_curves(panels, tmp_path / "three.png")
    height, width = pixels(tmp_path / "one.png").shape[:2]
    assert pixels(tmp_path / "three.png").shape[:2] == (2 * height, 2 * width)


def test_the_picture_depends_on_the_values(tmp_path):
    draw_training_curves({("I", "loss"): CURVES}, tmp_path / "a.png")
    draw_training_curves({("I", "loss"): CURVES[::-1]}, tmp_path / "b.png")
    assert (pixels(tmp_path / "a.png") != pixels(tmp_path / "b.png")).any()


def test_trainings_without_a_common_iteration_are_left_out(tmp_path):
    apart = Curve(label="a", iterations=[[20], [40]], values=[[3.0], [4.0]])
    draw_training_curves({("I", "loss"): [apart, *CURVES]}, tmp_path / "a.png")
    draw_training_curves({("I", "loss"): []}, tmp_path / "empty.png")
    assert pixels(tmp_path / "a.png") is not None
    assert pixels(tmp_path / "empty.png") is not None
