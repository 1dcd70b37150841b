"""The training curves of a page."""

from collections.abc import Sequence
from pathlib import Path

from acnet.tables.contents import FORM_NAMES
from acnet.tables.measured import Measured
from acnet.tables.paper import TITLES
from acnet.tables.record import Record
from acnet.tables.rows import FORMS, Row
from acnet.visualization.training_curves import Curve, draw_training_curves

NUMBERS = {"total_loss": "loss", "bbox/AP50": "AP50 in %"}


def draw_curves(measured: Measured, path: Path) -> bool:
    """Draw loss and AP50 by iteration of all measured rows, each form and table apart.

    Args:
        measured: rows and records.
        path: the picture to write.

    Returns:
        False where there is nothing to draw, and no picture.
    """
    panels = {}
    for form in FORMS:
        for table in dict.fromkeys(row.table for row in measured.rows):
            rows = [row for row in measured.rows if (row.table, row.form) == (table, form)]
            rows = [row for row in rows if any(one.row == row.config for one in _of(measured, row))]
            for key, name in NUMBERS.items():
                curves = [_curve(row, _of(measured, row), key) for row in rows]
                curves = [curve for curve in curves if any(len(one) > 1 for one in curve.values)]
                if curves:
                    panels[_title(table, form), name] = curves
    if panels:
        draw_training_curves(panels, path)
    return bool(panels)


def _of(measured: Measured, row: Row) -> list[Record]:
    return list(measured.of(row).values())


def _title(table: int | None, form: str) -> str:
    title = TITLES[table].partition(":")[0] if table else "Other rows"
    return title if form == FORMS[0] else f"{title}, {FORM_NAMES[form]}"


def _curve(row: Row, records: Sequence[Record], key: str) -> Curve:
    iterations, values = [], []
    for record in records:
        curve = record.content["curve"]
        pairs = zip(curve["iteration"], curve.get(key, ()), strict=False)
        known = [(iteration + 1, value) for iteration, value in pairs if value is not None]
        iterations.append([iteration for iteration, _ in known])
        values.append([value for _, value in known])
    return Curve(label=row.label, iterations=iterations, values=values)
