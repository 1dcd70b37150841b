"""Figures of lesion counts: predicted against true, and how well the two agree."""

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from acnet.data.records import HAYASHI_LIMITS
from acnet.evaluation.counting import BlandAltman
from acnet.evaluation.grading import GRADE_NAMES
from acnet.visualization.palette import LIGHT

MOST_MARKERS = 2500  # more are drawn as pixels, lest the page grow with the data set
SMALLEST_MARKER, LARGEST_MARKER = 8.0, 128.0  # areas in square points
PHOTOS_OF_LARGEST = 8  # or more, where more photos share a place
DASHED = (0, (5, 2))
COUNT_TICKS = (0, 5, 20, 50, 100, 200, 400, 800)


def draw_counts(figure: Figure, true: np.ndarray, predicted: np.ndarray) -> None:
    """Draw predicted over true counts, with the squares in which both give the same grade.

    The axes show the square root of the count, in which the spread of counts is nearly even and
    the grades of few lesions have room.

    Args:
        figure: Empty.
        true: (P,) lesions of each photo.
        predicted: (P,) lesions counted in it.
    """
    axes = figure.add_subplot(xlabel="lesions in the photo", ylabel="lesions counted")
    top = max(true.max(initial=0), predicted.max(initial=0), HAYASHI_LIMITS[0]) + 0.5
    borders = [0, *(limit + 0.5 for limit in HAYASHI_LIMITS if limit + 0.5 < top), top * 1.06]
    for name, (low, high) in zip(GRADE_NAMES, itertools.pairwise(borders), strict=False):
        axes.fill_between([low, high], low, high, color=LIGHT["shade"], linewidth=0)
        axes.annotate(name, (low, high), (4, -11), textcoords="offset points", color=LIGHT["muted"])
    axes.plot([0, borders[-1]], [0, borders[-1]], color=LIGHT["muted"], lw=1, ls=(0, (2, 2)))
    _scatter(axes, true, predicted)
    axes.set_xscale("function", functions=(_root, np.square))
    axes.set_yscale("function", functions=(_root, np.square))
    ticks = [tick for tick in COUNT_TICKS if tick <= top]
    axes.set(xlim=(0, borders[-1]), ylim=(0, borders[-1]), xticks=ticks, yticks=ticks, aspect=1)
    axes.grid(visible=False)


def draw_agreement(figure: Figure, agreement: BlandAltman) -> None:
    """Draw the difference of two counts over their mean, with its mean and its limits.

    Args:
        figure: Empty.
        agreement: Of counted and true lesions.

    Reference: Bland and Altman, "Statistical methods for assessing agreement", Lancet 1986.
    """
    axes = figure.add_subplot(xlabel="mean of counted and true", ylabel="counted minus true")
    axes.axhline(0, color=LIGHT["rule"], linewidth=1)
    _scatter(axes, agreement.means, agreement.differences)
    lines = ((agreement.low, DASHED), (agreement.bias, "-"), (agreement.high, DASHED))
    for value, style in lines:
        if value is not None:
            axes.axhline(value, color=LIGHT["missed"], linewidth=1.5, linestyle=style)
            _write_beside(axes, value)
    axes.set_xlim(left=0)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.grid(visible=False, axis="x")


def _write_beside(axes: Axes, value: float) -> None:
    axes.annotate(
        f"{value:+.1f}".replace("-", "\N{MINUS SIGN}"),
        (1, value),
        xycoords=axes.get_yaxis_transform(),
        xytext=(4, 0),
        textcoords="offset points",
        verticalalignment="center",
        color=LIGHT["missed"],
    )


def _scatter(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Draw one marker a place, the larger the more photos share it."""
    places, photos = np.unique(np.stack([x, y], axis=1), axis=0, return_counts=True)
    sizes = marker_sizes(photos)
    for size in np.unique(sizes):
        axes.scatter(
            *places[sizes == size].T,
            s=size,
            color=LIGHT["found"],
            alpha=0.55,
            linewidths=0,
            clip_on=False,  # photos without lesions lie on the axes
            rasterized=len(places) > MOST_MARKERS,
        )


def marker_sizes(photos: np.ndarray) -> np.ndarray:
    """Return areas of markers that grow with the photos they stand for, in few steps.

    Markers of one size are one shape that the SVG file repeats, so steps keep it small.

    Args:
        photos: (N,) at least 1 each.

    Returns:
        (N,) in square points.
    """
    areas = LARGEST_MARKER * photos / max(PHOTOS_OF_LARGEST, photos.max(initial=1))
    steps = np.log2(np.maximum(areas, SMALLEST_MARKER) / SMALLEST_MARKER).round()
    return SMALLEST_MARKER * 2**steps


def _root(counts: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(counts, 0))
