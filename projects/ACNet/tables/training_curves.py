"""Losses and AP of many trainings over their iterations, as one picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from acnet.files import atomic_write

LINE_STYLES = ("-", "--", ":")
COLORS = 10


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line: a number over the iterations, the mean of several trainings.

    Args:
        label: of the line.
        iterations: of each training.
        values: of each training at its iterations.
    """

    label: str
    iterations: Sequence[Sequence[float]]
    values: Sequence[Sequence[float]]


def draw_training_curves(
    panels: Mapping[tuple[str, str], Sequence[Curve]], path: Path, *, columns: int = 2
) -> None:
    """Draw panels of lines; a band spans the trainings of a line.

    Args:
        panels: lines by title and name of the number.
        path: the picture to write; its suffix decides the format.
        columns: panels beside each other.
    """
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context({"font.size": 9, "svg.hashsalt": "curves"}):
        size = (6.0 * min(columns, len(panels)), 4.2 * rows)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, min(columns, len(panels)), squeeze=False).ravel()
        for one, ((title, name), curves) in zip(axes, panels.items(), strict=False):
            _draw(one, title, name, curves)
        for one in axes[len(panels) :]:
            one.set_axis_off()
        with atomic_write(path) as temporary:
            figure.savefig(temporary, dpi=110)


def _draw(axes: Axes, title: str, name: str, curves: Sequence[Curve]) -> None:
    for place, curve in enumerate(curves):
        iterations = sorted(set.intersection(*map(set, curve.iterations)))
        if not iterations:
            continue
        columns = zip(curve.iterations, curve.values, strict=True)
        values = np.array([np.interp(iterations, *column) for column in columns])
        style = {
            "color": f"C{place % COLORS}",
            "ls": LINE_STYLES[place // COLORS % len(LINE_STYLES)],
        }
        axes.plot(iterations, values.mean(axis=0), lw=1.4, label=curve.label, **style)
        if len(values) > 1:
            ends = (values.min(axis=0), values.max(axis=0))
            axes.fill_between(iterations, *ends, color=style["color"], alpha=0.12, lw=0)
    axes.set(title=title, xlabel="iteration", ylabel=name)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")
