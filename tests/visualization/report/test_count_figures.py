"""Figures of counts: where markers, squares and lines are, and how large the markers."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from acnet.evaluation.counting import BlandAltman, bland_altman
from acnet.visualization.report.count_figures import (
    MOST_MARKERS,
    draw_agreement,
    draw_counts,
    marker_sizes,
)
from acnet.visualization.svg import svg_figure


def counts_axes(true, predicted):
    figure = Figure()
    draw_counts(figure, np.array(true, dtype=np.int64), np.array(predicted, dtype=np.int64))
    return figure.axes[0]


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


def test_largest_marker_does_not_grow_with_the_data_set():
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


def test_axes_are_equal_and_show_square_roots():
    axes = counts_axes([100], [100])
    place = axes.transLimits.transform(axes.transScale.transform((25.0, 100.0)))
    assert place[0] * 2 == pytest.approx(place[1])  # sqrt(25) is half of sqrt(100)


def test_photos_without_lesions_have_a_figure():
    assert markers(counts_axes([0, 0], [0, 0])) == {(0.0, 0.0): 32.0}


def test_lines_of_agreement_are_labelled_with_their_values():
    # Differences 1 and -3: mean -1, deviation 2.83, limits -1 -+ 1.96 * 2.83.
    figure = Figure()
    draw_agreement(figure, bland_altman(np.array([11, 17]), np.array([10, 20])))
    axes = figure.axes[0]
    heights = [line.get_ydata()[0] for line in axes.lines]
    assert heights == pytest.approx([0, -6.54, -1, 4.54], abs=0.01)
    minus = "\N{MINUS SIGN}"
    assert [text.get_text() for text in axes.texts] == [f"{minus}6.5", f"{minus}1.0", "+4.5"]
    assert markers(axes) == {(10.5, 1.0): 16.0, (18.5, -3.0): 16.0}


def test_one_photo_has_no_limits():
    agreement = BlandAltman(
        means=np.array([3.0]), differences=np.array([2.0]), bias=2.0, low=None, high=None
    )
    figure = Figure()
    draw_agreement(figure, agreement)
    assert [text.get_text() for text in figure.axes[0].texts] == ["+2.0"]


def test_figure_of_many_photos_stays_small():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 200, (2, 20_000))
    text = svg_figure("counts", draw_counts, true, predicted, alt="Counts")
    assert len(np.unique(true * 200 + predicted)) > MOST_MARKERS
    assert "data:image/png;base64," in text
    assert len(text) < 400_000  # noise, which no picture format packs well
