"""The recent past of detectron2's EventStorage, so that a resumed run's medians go on unbroken."""

from typing import Any

from detectron2.utils.events import EventStorage

WINDOW = 20  # iterations that detectron2's writers smooth over


def recent_scalars(storage: EventStorage) -> dict[str, dict[str, Any]]:
    """Collect what the writers need to go on later: the last values of each scalar.

    Args:
        storage: of the running training.

    Returns:
        For each name its last values as [value, iteration] and whether it is smoothed; plain
        numbers and lists only, so that a checkpoint with it loads safely.
    """
    hints = storage.smoothing_hints()
    return {
        name: {
            "values": [[float(v), int(i)] for v, i in history.values()[-WINDOW:]],
            "smooth": hints[name],
        }
        for name, history in storage.histories().items()
    }


def restore_scalars(storage: EventStorage, saved: dict[str, dict[str, Any]]) -> None:
    """Put the scalars of `recent_scalars` into a new storage.

    Args:
        storage: without these scalars as yet.
        saved: from `recent_scalars`.
    """
    for name, scalar in saved.items():
        for value, iteration in scalar["values"]:
            storage.put_scalar(name, value, smoothing_hint=scalar["smooth"], cur_iter=iteration)
