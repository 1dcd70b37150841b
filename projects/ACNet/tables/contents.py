"""The tables of a page as rows of cells, the same for HTML and for Markdown."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from acnet.tables.effects import effect_weights, paper_effect
from acnet.tables.estimates import Estimate, estimate
from acnet.tables.measured import Measured
from acnet.tables.numbers import RESAMPLED
from acnet.tables.paper import PAPER_ROWS, PARTS, TITLES, PaperRow
from acnet.tables.record import Record
from acnet.tables.rows import FORMS, Row
from acnet.tables.test_sets import short_test
from acnet.visualization.templates import rounded

NOTHING = "\N{EN DASH}"
FORM_NAMES = {"letter": "the paper's letter", "tuned": "tuned form"}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table.

    Args:
        text: the number, or a name.
        interval: beside it, or "".
        strong: whether the whole interval is on one side of 0.
        is_number: stands to the right.
    """

    text: str
    interval: str = ""
    strong: bool = False
    is_number: bool = True


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with its heading.

    Args:
        title: above it.
        text: a paragraph below the title, or "".
        header: names of the columns.
        rows: of cells.
    """

    title: str
    text: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def paper_tables(measured: Measured) -> list[Table]:
    """Build the paper's tables, each form apart, from what was measured.

    Args:
        measured: rows and records.

    Returns:
        The tables that have a measured row.
    """
    tables = []
    for number in TITLES:
        for form in FORMS:
            shown = _rows_of(number, form, measured)
            own = [row for _, row in shown if row and row.form == form]
            if form != FORMS[0]:  # a table that shares a row with another is shown in the letter
                own = [row for row in own if row.table == number]
            if any(measured.of(row) for row in own):
                tables.append(_paper_table(number, form, shown, measured))
    others = [row for row in measured.rows if row.paper is None and measured.of(row)]
    if others:
        tables.append(_other_table(others, measured))
    return tables


def gain_table(measured: Measured, key: str) -> Table | None:
    """Show a number's gain over the baseline on each test set.

    Args:
        measured: rows and records.
        key: of the number, one of `RESAMPLED`.

    Returns:
        A table; None where nothing is measured.
    """
    rows = []
    for form in FORMS:
        shown = [row for _, row in _rows_of(2, form, measured) if row]
        for row in shown:
            if row.form == form and measured.of(row) and row != measured.baseline(form):
                gains = [_gain(measured, row, shown, test, key) for test in measured.tests]
                rows.append(_estimates_row(_label(row), gains))
    return _by_set(measured, f"Gain over the baseline: {RESAMPLED[key]}", "", ("row",), rows)


def effect_table(measured: Measured, key: str) -> Table | None:
    """Show what each part adds to a number: rows with it minus rows without it.

    Args:
        measured: rows and records.
        key: of the number, one of `RESAMPLED`.

    Returns:
        A table; None where no two rows differ in one part alone.
    """
    rows = []
    for form in FORMS:
        found = [(paper, row) for paper, row in _rows_of(2, form, measured) if row]
        by_key = {paper.key: row for paper, row in found if measured.of(row)}
        if not any(row.form == form for row in by_key.values()):
            continue
        for part in PARTS:
            weights = effect_weights(part, {name: row.config for name, row in by_key.items()})
            samples = [measured.samples(by_key.values(), test, key) for test in measured.tests]
            effects = [estimate(one, weights) for one in samples if weights]
            if any(effects):
                paper = Cell(text=rounded(paper_effect(part), 1, plus=True))
                rows.append(_estimates_row(f"{part}, {FORM_NAMES[form]}", effects, paper))
    text = (
        "The mean of all pairs of Table II's rows that differ in the part alone, with it minus "
        "without it."
    )
    return _by_set(
        measured, f"What each part adds: {RESAMPLED[key]}", text, ("part", "paper"), rows
    )


def form_table(measured: Measured, key: str) -> Table | None:
    """Show what the tuned form of each row adds to the paper's letter.

    Args:
        measured: rows and records.
        key: of the number, one of `RESAMPLED`.

    Returns:
        A table; None where no row is measured in both forms.
    """
    rows = []
    letters, tuned = (_rows_of(2, form, measured) for form in FORMS)
    pool = [row for _, row in [*letters, *tuned] if row]
    for (_, letter), (_, twin) in zip(letters, tuned, strict=True):
        if letter and twin and letter != twin and measured.of(letter) and measured.of(twin):
            weights = {twin.config: 1.0, letter.config: -1.0}
            samples = [measured.samples(pool, test, key) for test in measured.tests]
            rows.append(_estimates_row(letter.label, [estimate(one, weights) for one in samples]))
    return _by_set(measured, f"Tuned form over the letter: {RESAMPLED[key]}", "", ("row",), rows)


def _by_set(
    measured: Measured,
    title: str,
    text: str,
    header: tuple[str, ...],
    rows: Sequence[tuple[Cell, ...]],
) -> Table | None:
    names = (*header, *map(short_test, measured.tests))
    return Table(title=title, text=text, header=names, rows=tuple(rows)) if rows else None


def _estimates_row(
    name: str, estimates: Sequence[Estimate | None], *paper: Cell
) -> tuple[Cell, ...]:
    return (_name(name), *paper, *(_estimate_cell(one, plus=True) for one in estimates))


def _rows_of(number: int, form: str, measured: Measured) -> list[tuple[PaperRow, Row | None]]:
    rows = [row for row in PAPER_ROWS if row.table == number]
    return [(row, measured.find(number, row.key, form) if row.key else None) for row in rows]


def _paper_table(
    number: int, form: str, shown: Sequence[tuple[PaperRow, Row | None]], measured: Measured
) -> Table:
    rows = [row for _, row in shown if row]
    base_map = next(
        row.map_percent
        for row in PAPER_ROWS
        if row.key in ("baseline", "faster_rcnn") and row.table == (4 if number == 4 else 2)
    )
    cells = []
    for paper, row in shown:
        twin = row and row.form != form
        label = f"{paper.label}, as in the letter" if twin else paper.label
        gain = rounded(paper.map_percent - base_map, 1, plus=True)
        published = (Cell(text=f"{paper.map_percent:.1f}"), Cell(text=gain))
        cells.append((_name(label), *published, *_our_cells(measured, row, rows)))
    title = TITLES[number] + ("" if form == FORMS[0] else f", {FORM_NAMES[form]}")
    return Table(
        title=title,
        text=f"Measured on {short_test(measured.tests[0])}.",
        header=("row", "paper: mAP", "gain", *_our_header()),
        rows=tuple(cells),
    )


def _other_table(rows: Sequence[Row], measured: Measured) -> Table:
    return Table(
        title="Other rows",
        text="Not in the paper.",
        header=("row", *_our_header()),
        rows=tuple((_name(row.config), *_our_cells(measured, row, rows)) for row in rows),
    )


def _our_header() -> tuple[str, ...]:
    headline, *others = RESAMPLED.values()
    sizes = ("M weights", "GMACs", "s a step", "seeds")
    return (f"ours: {headline}", "gain", *others, *sizes)


def _our_cells(measured: Measured, row: Row | None, pool: Sequence[Row]) -> list[Cell]:
    if row is None or not measured.of(row):
        return [Cell(text=NOTHING)] * len(_our_header())
    test, (headline, *others) = measured.tests[0], RESAMPLED
    records = list(measured.of(row).values())
    return [
        _estimate_cell(_value(measured, row, pool, test, headline)),
        _estimate_cell(_gain(measured, row, pool, test, headline), plus=True),
        *(_estimate_cell(_value(measured, row, pool, test, key), short=True) for key in others),
        *_size_cells(records),
    ]


def _size_cells(records: Sequence[Record]) -> list[Cell]:
    size = records[0].content["size"]
    steps = [record.content["times"].get("seconds_a_step") for record in records]
    known = [seconds for seconds in steps if seconds is not None]
    return [
        Cell(text=f"{size['parameters'] / 1e6:.1f}"),
        Cell(text=f"{size['gmacs']:.1f}"),
        Cell(text=f"{statistics.median(known):.2f}" if known else NOTHING),
        Cell(text=" ".join(str(record.seed) for record in records)),
    ]


def _value(
    measured: Measured, row: Row, pool: Sequence[Row], test: str, key: str
) -> Estimate | None:
    return estimate(measured.samples(pool, test, key), {row.config: 1.0})


def _gain(
    measured: Measured, row: Row, pool: Sequence[Row], test: str, key: str
) -> Estimate | None:
    base = measured.baseline(row.form)
    if base is None or measured.of(base) == measured.of(row):
        return None
    pool = dict.fromkeys([base, *pool])
    return estimate(measured.samples(pool, test, key), {row.config: 1.0, base.config: -1.0})


def _estimate_cell(one: Estimate | None, *, plus: bool = False, short: bool = False) -> Cell:
    if one is None:
        return Cell(text=NOTHING)
    text = rounded(one.value, 1, plus)
    if short or one.low is None:
        return Cell(text=text)
    ends = " to ".join(rounded(end, 1, plus) for end in (one.low, one.high))
    strong = plus and (one.is_above_zero or one.is_below_zero)
    return Cell(text=text, interval=ends, strong=strong)


def _name(text: str) -> Cell:
    return Cell(text=text, is_number=False)


def _label(row: Row) -> str:
    return row.label if row.form == FORMS[0] else f"{row.label}, tuned"
