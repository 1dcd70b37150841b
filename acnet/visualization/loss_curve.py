"""The losses of a training as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from acnet.files import atomic_write

TOTAL = "total_loss"


def draw_losses(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    """Plot the total loss and its parts over the iterations.

    Args:
        rows: Of a run's `metrics.json`: "iteration", "total_loss" and "loss_*"; rows without
            losses are skipped.
        path: The picture to write; its suffix decides the format.
    """
    rows = [row for row in rows if TOTAL in row]
    iterations = [row["iteration"] for row in rows]
    names = sorted({name for row in rows for name in row if name.startswith("loss_")})
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="iteration", ylabel="loss")
    axes.plot(iterations, [row[TOTAL] for row in rows], color="black", lw=2, label="total")
    for name in names:
        label = name.removeprefix("loss_").replace("_", " ")
        axes.plot(iterations, [row.get(name) for row in rows], lw=1.2, label=label)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120)
