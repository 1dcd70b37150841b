"""Figures: what is drawn is what was measured."""

from urllib.parse import quote

import numpy as np
import pytest
from matplotlib.figure import Figure

from acnet.evaluation.calibration import Bins
from acnet.evaluation.counting import bland_altman
from acnet.evaluation.froc_curve import Froc
from acnet.evaluation.protocol import rate_name
from acnet.templates import LIGHT
from acnet.visualization.report import figures
from acnet.visualization.report.figures import MOST_MARKERS, marker_sizes
from acnet.visualization.report.sections import _size_label
from acnet.visualization.svg import SAFE_IN_URI, svg_figure


def axes_of(draw, *values) -> list:
    """Return what a function draws into an empty figure."""
    figure = Figure()
    draw(figure, *values)
    return figure.axes


def test_precision_over_recall_in_percent():
    curves = {"a": (np.array([0.5, 1]), np.array([1, 0.5])), "b": (np.zeros(0), np.zeros(0))}
    (axes,) = axes_of(figures.draw_precision_recall, curves)
    assert axes.lines[0].get_xydata().tolist() == [[0, 100], [50, 100], [100, 50]]
    assert len(axes.lines[1].get_xydata()) == 0
    assert axes.lines[0].get_color() != axes.lines[1].get_color()
    assert axes.lines[0].get_linestyle() != axes.lines[1].get_linestyle()
    assert [text.get_text() for text in axes.get_legend().texts] == ["a", "b"]


def test_froc_is_drawn_from_the_first_to_the_last_point():
    # The curve ends at 3 false alarms; it goes on flat to the last point, 4.
    curve = Froc(
        false_positives=np.array([0.1, 0.7, 1.0, 3.0]),
        sensitivity=np.array([0.1, 0.3, 0.4, 0.6]),
        scores=np.zeros(4),
        points=(0.5, 1.0, 4.0),
        at_points=(0.2, 0.4, 0.6),
        thresholds=(None,) * 3,
        score=0.5,
    )
    (axes,) = axes_of(figures.draw_froc, {"IoU": curve})
    line, dots, _ = axes.lines
    assert 2 ** line.get_xdata() == pytest.approx([0.5, 0.7, 1, 3, 4])
    assert line.get_ydata().tolist() == pytest.approx([20, 30, 40, 60, 60])
    assert dots.get_ydata().tolist() == pytest.approx([20, 40, 60])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1/2", "1", "4"]


def test_reliability_shows_the_gap_of_each_bin():
    bins = Bins(
        edges=np.array([[0.2, 0.3], [0.9, 1.0]]),
        counts=np.array([10, 30]),
        mean_scores=np.array([0.25, 0.95]),
        precisions=np.array([0.5, 0.9]),
        ece=0.1,
    )
    upper, lower = axes_of(figures.draw_reliability, bins)
    gaps = [segment.tolist() for segment in upper.collections[0].get_segments()]
    assert gaps == [[[0.25, 50], [0.25, 25]], [[0.95, 90], [0.95, 95]]]
    assert [bar.get_height() for bar in lower.patches] == [10, 30]
    assert [bar.get_x() for bar in lower.patches] == [0.2, 0.9]


def test_bars_of_sizes_stand_side_by_side_and_the_costliest_error_on_top():
    shares = {"AR": [20.0, 60.4], "AP50": [30.0, 70.0]}
    (axes,) = axes_of(figures.draw_sizes, ["0-16", "from 16"], shares)
    assert [bar.get_height() for bar in axes.patches] == [20, 60.4, 30, 70]
    middles = [bar.get_x() + bar.get_width() / 2 for bar in axes.patches]
    assert middles == pytest.approx([-0.2, 0.8, 0.2, 1.2])
    assert [text.get_text() for text in axes.texts] == ["20", "60", "30", "70"]
    (axes,) = axes_of(figures.draw_error_parts, {"missed": 12.34, "duplicate": 0.0})
    assert [bar.get_width() for bar in axes.patches] == [0.0, 12.34]  # from below
    assert [text.get_text() for text in axes.texts] == ["0.0", "12.3"]


def test_false_alarms_sizes_and_colours_are_the_usual_ones():
    assert [rate_name(value) for value in (1 / 8, 0.5, 1.0, 8.0)] == ["1/8", "1/2", "1", "8"]
    assert _size_label("[16-32px]") == "16\N{EN DASH}32"
    assert _size_label("[128px-]") == "from 128"
    assert {line["color"] for line in figures.LINES} <= set(LIGHT.values())


def counts_axes(true, predicted):
    return axes_of(figures.draw_counts, np.array(true), np.array(predicted))[0]


def markers(axes) -> dict[tuple[float, float], float]:
    """Return the areas of the markers by their place."""
    return {
        tuple(place): float(collection.get_sizes()[0])
        for collection in axes.collections
        if len(collection.get_offsets()) and len(collection.get_sizes())
        for place in collection.get_offsets().tolist()
    }


def test_photos_of_one_place_share_a_larger_marker():
    # Three photos at (4, 5), one at (60, 40): areas 128 * n / 8 = 48 and 16, in steps 8 * 2^k.
    shown = markers(counts_axes([4, 4, 4, 60], [5, 5, 5, 40]))
    assert shown == {(4.0, 5.0): 64.0, (60.0, 40.0): 16.0}
    assert markers(counts_axes([0, 0], [0, 0])) == {(0.0, 0.0): 32.0}
    # The largest does not grow with the data set.
    assert marker_sizes(np.array([1, 8])).tolist() == [16, 128]
    assert marker_sizes(np.array([1, 100, 1000])).tolist() == [8, 16, 128]


def test_squares_are_the_grades_that_occur():
    # 30 lesions are severe, the third grade; its square ends where the axis does.
    axes = counts_axes([1, 30], [2, 28])
    assert [text.get_text() for text in axes.texts] == ["mild", "moderate", "severe"]
    corners = [square.get_paths()[0].get_extents().extents for square in axes.collections[:3]]
    assert [corner.tolist() for corner in corners[:2]] == [[0, 0, 5.5, 5.5], [5.5, 5.5, 20.5, 20.5]]
    assert axes.get_xlim() == pytest.approx((0, 30.5 * 1.06))
    assert axes.get_xticks().tolist() == [0, 5, 20]
    # The axes show square roots: sqrt(5) is half of sqrt(20).
    place = axes.transLimits.transform(axes.transScale.transform((5.0, 20.0)))
    assert place[0] * 2 == pytest.approx(place[1])


def test_lines_of_agreement_are_labelled_with_their_values():
    # Differences 1 and -3: mean -1, deviation 2.83, limits -1 -+ 1.96 * 2.83.
    (axes,) = axes_of(figures.draw_agreement, bland_altman([11, 17], [10, 20]))
    heights = [line.get_ydata()[0] for line in axes.lines]
    assert heights == pytest.approx([0, -6.54, -1, 4.54], abs=0.01)
    minus = "\N{MINUS SIGN}"
    assert [text.get_text() for text in axes.texts] == [f"{minus}6.5", f"{minus}1.0", "+4.5"]
    assert markers(axes) == {(10.5, 1.0): 16.0, (18.5, -3.0): 16.0}
    (axes,) = axes_of(figures.draw_agreement, bland_altman([4], [2]))  # one photo has no limits
    assert [text.get_text() for text in axes.texts] == ["+2.0"]


def test_figures_of_many_photos_and_of_a_long_curve_stay_small():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 200, (2, 20_000))
    text = svg_figure("counts", figures.draw_counts, true, predicted, alt="Counts")
    assert len(np.unique(true * 200 + predicted)) > MOST_MARKERS
    assert quote("data:image/png;base64,", safe=SAFE_IN_URI) in text
    assert len(text) < 400_000  # noise, which no picture format packs well
    noise = rng.uniform(size=(2, 75_000))
    curves = {"noise": (np.sort(noise[0]), noise[1])}
    assert len(svg_figure("long", figures.draw_precision_recall, curves, alt="noise")) < 100_000
