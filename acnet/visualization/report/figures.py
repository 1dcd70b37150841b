"""Figures of what was found: precision and recall, FROC, reliability of the scores, bars."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from acnet.evaluation.calibration import Bins
from acnet.evaluation.froc import Froc
from acnet.visualization.palette import LIGHT
from acnet.visualization.report.thinning import thin

# In the order of the curves: colour and line style both tell them apart.
LINES = (
    {"color": LIGHT["found"], "linestyle": "-"},
    {"color": LIGHT["false"], "linestyle": (0, (5, 2))},
)
MARKERS = ("o", "s")


def draw_precision_recall(
    figure: Figure, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    """Draw precision over recall.

    Args:
        figure: Empty.
        curves: Recall (N,), rising, and precision (N,), both from 0 to 1, by label; at most two.
    """
    axes = figure.add_subplot(xlabel="lesions found, %", ylabel="detections right, %")
    for line, (label, (recall, precision)) in zip(LINES, curves.items(), strict=False):
        start = np.zeros(min(1, len(recall)))  # a line from the axis to the first lesion found
        x, y = np.append(start, recall), np.append(precision[:1], precision)
        axes.plot(*thin(x * 100, y * 100), label=label, **line)
    axes.set(xlim=(0, 100), ylim=(0, 101))
    axes.legend(loc="best")


def draw_froc(figure: Figure, curves: Mapping[str, Froc]) -> None:
    """Draw the share of lesions found over false alarms a photo, with dots where it is reported.

    Args:
        figure: Empty.
        curves: By label; at most two, with the same points.
    """
    axes = figure.add_subplot(xlabel="false alarms a photo", ylabel="lesions found, %")
    points = next(iter(curves.values())).points
    for line, marker, (label, curve) in zip(LINES, MARKERS, curves.items(), strict=False):
        shown = (curve.false_positives > points[0]) & (curve.false_positives < points[-1])
        rates = np.concatenate([points[:1], curve.false_positives[shown], points[-1:]])
        at_points = np.asarray(curve.at_points)
        found = np.concatenate([at_points[:1], curve.sensitivity[shown], at_points[-1:]])
        axes.plot(*thin(np.log2(rates), found * 100), **line)
        dots = np.log2(points), at_points * 100
        axes.plot(*dots, linestyle="", marker=marker, markersize=5, color=line["color"])
        axes.plot([], [], marker=marker, markersize=5, label=label, **line)
    axes.set_xticks(np.log2(points), [fraction(point) for point in points])
    axes.set_ylim(0, 101)
    axes.legend(loc="lower right")


def draw_reliability(figure: Figure, bins: Bins) -> None:
    """Draw how often detections of a score are right, and how many there are.

    Args:
        figure: Empty.
        bins: Of equal width, at least one.
    """
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
    """Draw shares by size of the lesion, side by side.

    Args:
        figure: Empty.
        labels: (N,) of the sizes, smallest first.
        values: (N,) in percent, None where there is nothing of the size, by label; at most two.
    """
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
    """Draw what AP50 would gain without each kind of error.

    Args:
        figure: Empty.
        parts: Gain in percentage points, by kind.
    """
    axes = figure.add_subplot(xlabel="gain of AP50 without such errors, points")
    names = list(parts)[::-1]
    bars = axes.barh(names, [parts[name] for name in names], height=0.6, color=LIGHT["found"])
    axes.bar_label(bars, [f"{parts[name]:.1f}" for name in names], padding=4)
    axes.set_xlim(0, max(*parts.values(), 1.0) * 1.15)
    axes.tick_params(axis="y", length=0, labelcolor=LIGHT["ink"])
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def fraction(value: float) -> str:
    """Write false positives a photo as they are usually written.

    Args:
        value: Above 0.

    Returns:
        "1/8", "1/4", "1/2", "1", "2" and so on.
    """
    return f"{value:g}" if value >= 1 else f"1/{round(1 / value)}"
