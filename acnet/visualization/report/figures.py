"""The figures of the report: curves, reliability of the scores, sizes, errors, counts."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from acnet.evaluation.calibration import Bins
from acnet.evaluation.counting import GRADE_NAMES, HAYASHI_LIMITS, BlandAltman
from acnet.evaluation.froc_curve import Froc
from acnet.evaluation.protocol import rate_name
from acnet.templates import LIGHT

# In the order of the curves: colour and line style both tell them apart.
LINES = (
    {"color": LIGHT["found"], "linestyle": "-"},
    {"color": LIGHT["false"], "linestyle": (0, (5, 2))},
)
MARKERS = ("o", "s")


def draw_precision_recall(
    figure: Figure, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    """Draw (N,) precision over (N,) rising recall of at most two curves, by label."""
    axes = figure.add_subplot(xlabel="lesions found, %", ylabel="detections right, %")
    for line, (label, (recall, precision)) in zip(LINES, curves.items(), strict=False):
        start = np.zeros(min(1, len(recall)))  # a line from the axis to the first lesion found
        x, y = np.append(start, recall), np.append(precision[:1], precision)
        axes.plot(x * 100, y * 100, label=label, **line)
    axes.set(xlim=(0, 100), ylim=(0, 101))
    axes.legend(loc="best")


def draw_froc(figure: Figure, curves: Mapping[str, Froc]) -> None:
    """Draw the share of lesions found over false alarms a photo, with dots where it is reported.

    There are at most two curves, by label, with the same points.
    """
    axes = figure.add_subplot(xlabel="false alarms a photo", ylabel="lesions found, %")
    points = next(iter(curves.values())).points
    for line, marker, (label, curve) in zip(LINES, MARKERS, curves.items(), strict=False):
        shown = (curve.false_positives > points[0]) & (curve.false_positives < points[-1])
        rates = np.concatenate([points[:1], curve.false_positives[shown], points[-1:]])
        at_points = np.asarray(curve.at_points)
        found = np.concatenate([at_points[:1], curve.sensitivity[shown], at_points[-1:]])
        axes.plot(np.log2(rates), found * 100, **line)
        dots = np.log2(points), at_points * 100
        axes.plot(*dots, linestyle="", marker=marker, markersize=5, color=line["color"])
        axes.plot([], [], marker=marker, markersize=5, label=label, **line)
    axes.set_xticks(np.log2(points), [rate_name(point) for point in points])
    axes.set_ylim(0, 101)
    axes.legend(loc="lower right")


def draw_reliability(figure: Figure, bins: Bins) -> None:
    """Draw how often detections of a score are right, and how many there are."""
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    scores, shares = bins.mean_scores, bins.precisions * 100
    upper.plot([0, 1], [0, 100], color=LIGHT["muted"], linewidth=1, linestyle=(0, (2, 2)))
    upper.vlines(scores, shares, scores * 100, color=LIGHT["missed"], linewidth=2)
    upper.plot(scores, shares, color=LIGHT["found"], marker="o", markersize=5)
    upper.set(ylabel="right, %", xlim=(0, 1), ylim=(0, 101))
    widths = np.diff(bins.edges)[:, 0]
    lower.bar(bins.edges[:, 0], bins.counts, width=widths * 0.9, align="edge", color=LIGHT["found"])
    lower.set(xlabel="score of the detection", ylabel="number")
    lower.yaxis.get_major_locator().set_params(nbins=2, integer=True)
    lower.grid(visible=False, axis="x")
    figure.align_ylabels()


def draw_sizes(figure: Figure, labels: Sequence[str], values: Mapping[str, Sequence]) -> None:
    """Draw shares in percent by size of the lesion, side by side; None where there is none."""
    axes = figure.add_subplot(xlabel="size of the lesion, px", ylabel="%", ylim=(0, 105))
    height = 0.8 / len(values)
    for index, (name, shares) in enumerate(values.items()):
        places = np.arange(len(labels)) + (index - (len(values) - 1) / 2) * height
        known = [0 if share is None else share for share in shares]
        bars = axes.bar(places, known, width=height * 0.9, color=LINES[index]["color"], label=name)
        axes.bar_label(
            bars, ["" if share is None else f"{share:.0f}" for share in shares], padding=1
        )
    axes.set_xticks(range(len(labels)), labels)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
    figure.legend(loc="outside upper left", ncols=2)


def draw_error_parts(figure: Figure, parts: Mapping[str, float]) -> None:
    """Draw what AP50 would gain without each kind of error, in percentage points."""
    axes = figure.add_subplot(xlabel="gain of AP50 without such errors, points")
    names = list(parts)[::-1]
    bars = axes.barh(names, [parts[name] for name in names], height=0.6, color=LIGHT["found"])
    axes.bar_label(bars, [f"{parts[name]:.1f}" for name in names], padding=4)
    axes.set_xlim(0, max(*parts.values(), 1.0) * 1.15)
    axes.tick_params(axis="y", length=0, labelcolor=LIGHT["ink"])
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


MOST_MARKERS = 2500  # more are drawn as pixels, so that the page does not grow with the data
SMALLEST_MARKER, LARGEST_MARKER = 8.0, 128.0  # areas in square points
PHOTOS_OF_LARGEST = 8  # or more, where more photos share a place
DASHED = (0, (5, 2))
COUNT_TICKS = (0, 5, 20, 50, 100, 200, 400, 800)


def draw_counts(figure: Figure, true: np.ndarray, predicted: np.ndarray) -> None:
    """Draw predicted over true counts, with the squares in which both give the same grade.

    The axes show the square root of the count, in which the spread of counts is nearly even and
    the grades of few lesions have room.
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
    """
    areas = LARGEST_MARKER * photos / max(PHOTOS_OF_LARGEST, photos.max(initial=1))
    steps = np.log2(np.maximum(areas, SMALLEST_MARKER) / SMALLEST_MARKER).round()
    return SMALLEST_MARKER * 2**steps


def _root(counts: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(counts, 0))
