"""Figures of detections: what the lines, dots and bars stand for."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from acnet.evaluation.average_precision import PrecisionRecall
from acnet.evaluation.calibration import Bins
from acnet.evaluation.froc import Froc
from acnet.visualization.palette import LIGHT
from acnet.visualization.report import figures
from acnet.visualization.report.sections import _at_recalls, _size_label


def test_precision_over_recall_in_percent():
    figure = Figure()
    curves = {"a": (np.array([0.5, 1]), np.array([1, 0.5])), "b": (np.zeros(0), np.zeros(0))}
    figures.draw_precision_recall(figure, curves)
    axes = figure.axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[0, 100], [50, 100], [100, 50]]
    assert len(axes.lines[1].get_xydata()) == 0
    assert axes.lines[0].get_color() != axes.lines[1].get_color()
    assert axes.lines[0].get_linestyle() != axes.lines[1].get_linestyle()
    assert [text.get_text() for text in axes.get_legend().texts] == ["a", "b"]


def test_mean_precision_is_taken_at_coco_s_recalls():
    # Precision 1 up to recall 0.5, then 0.6 at 0.8; the dip to 0.5 lies before the better 0.6.
    curve = PrecisionRecall(
        recall=np.array([0.5, 0.7, 0.8]),
        precision=np.array([1, 0.5, 0.6]),
        scores=np.array([0.9, 0.8, 0.7]),
        ap=0.0,
    )
    precision = _at_recalls(curve)
    assert precision[[0, 50, 51, 80, 81, 100]].tolist() == [1, 1, 0.6, 0.6, 0, 0]


def test_precision_of_a_class_without_detections_is_0():
    none = np.zeros(0)
    curve = PrecisionRecall(recall=none, precision=none, scores=none, ap=0.0)
    assert _at_recalls(curve).tolist() == [0] * 101


def froc(points, at_points, false_positives, sensitivity) -> Froc:
    return Froc(
        false_positives=np.array(false_positives),
        sensitivity=np.array(sensitivity),
        scores=np.zeros(len(sensitivity)),
        points=points,
        at_points=at_points,
        thresholds=(None,) * len(points),
        score=0.5,
    )


def test_froc_is_drawn_from_the_first_to_the_last_point():
    # The curve ends at 3 false alarms; it goes on flat to the last point, 4.
    curve = froc((0.5, 1.0, 4.0), (0.2, 0.4, 0.6), [0.1, 0.7, 1.0, 3.0], [0.1, 0.3, 0.4, 0.6])
    figure = Figure()
    figures.draw_froc(figure, {"IoU": curve})
    line, dots, _ = figure.axes[0].lines
    assert 2 ** line.get_xdata() == pytest.approx([0.5, 0.7, 1, 3, 4])
    assert line.get_ydata().tolist() == pytest.approx([20, 30, 40, 60, 60])
    assert dots.get_ydata().tolist() == pytest.approx([20, 40, 60])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["1/2", "1", "4"]


def test_reliability_shows_the_gap_of_each_bin():
    bins = Bins(
        edges=np.array([[0.2, 0.3], [0.9, 1.0]]),
        counts=np.array([10, 30]),
        mean_scores=np.array([0.25, 0.95]),
        precisions=np.array([0.5, 0.9]),
        ece=0.1,
    )
    figure = Figure()
    figures.draw_reliability(figure, bins)
    upper, lower = figure.axes
    gaps = [segment.tolist() for segment in upper.collections[0].get_segments()]
    assert gaps == [[[0.25, 50], [0.25, 25]], [[0.95, 90], [0.95, 95]]]
    assert [bar.get_height() for bar in lower.patches] == [10, 30]
    assert [bar.get_x() for bar in lower.patches] == [0.2, 0.9]


def test_bars_of_sizes_stand_side_by_side():
    figure = Figure()
    figures.draw_sizes(figure, ["0-16", "from 16"], {"AR": [20.0, 60.4], "AP50": [30.0, 70.0]})
    axes = figure.axes[0]
    assert [bar.get_height() for bar in axes.patches] == [20, 60.4, 30, 70]
    middles = [bar.get_x() + bar.get_width() / 2 for bar in axes.patches]
    assert middles == pytest.approx([-0.2, 0.8, 0.2, 1.2])
    assert [text.get_text() for text in axes.texts] == ["20", "60", "30", "70"]


def test_costliest_error_is_on_top():
    figure = Figure()
    figures.draw_error_parts(figure, {"missed": 12.34, "duplicate": 0.0})
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.0, 12.34]  # from below
    assert [text.get_text() for text in axes.texts] == ["0.0", "12.3"]


@pytest.mark.parametrize(("value", "text"), [(1 / 8, "1/8"), (0.5, "1/2"), (1.0, "1"), (8.0, "8")])
def test_false_alarms_are_written_as_usual(value, text):
    assert figures.fraction(value) == text


def test_sizes_are_written_for_people():
    assert _size_label("[16-32px]") == "16\N{EN DASH}32"
    assert _size_label("[128px-]") == "from 128"


def test_only_colours_of_the_palette_are_used():
    assert {line["color"] for line in figures.LINES} <= set(LIGHT.values())
