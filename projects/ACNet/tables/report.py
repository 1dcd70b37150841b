"""The tables of a page as rows of cells, the same for HTML and for Markdown."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from acnet.templates import rounded
from projects.ACNet.tables.estimates import (
    Estimate,
    Measured,
    effect_weights,
    estimate,
    paper_effect,
)
from projects.ACNet.tables.plan import short_test
from projects.ACNet.tables.record import RESAMPLED, Record
from projects.ACNet.tables.rows import (
    FORMS,
    PAPER,
    PAPER_ROWS,
    PARTS,
    TITLES,
    TWINS,
    PaperRow,
    Row,
    baseline_of,
)

NOTHING = "\N{EN DASH}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table: a name or a number, and the interval beside it."""

    text: str
    interval: str = ""
    strong: bool = False  # the whole interval is on one side of 0
    is_number: bool = True  # stands to the right


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with its heading."""

    title: str
    text: str  # a paragraph below the title, or ""
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def paper_tables(measured: Measured) -> list[Table]:
    """Build the paper's tables that have a measured row, each form apart, and one of other rows."""
    tables = []
    for number in TITLES:
        for form in FORMS:
            shown = _rows_of(number, form, measured)
            own = [row for _, row in shown if row and row.form == form]
            if form != PAPER or number == 4:  # what a table shares with another is no reason
                own = [row for row in own if row.table == number]
            if any(measured.of(row) for row in own):
                tables.append(_paper_table(number, form, shown, measured))
    others = [row for row in measured.rows if row.paper is None and measured.of(row)]
    if others:
        cells = tuple((_name(row.config), *_our_cells(measured, row, others)) for row in others)
        header = ("row", *_our_header(measured))
        tables.append(
            Table(title="Other rows", text="Not in the paper.", header=header, rows=cells)
        )
    return tables


def gain_table(measured: Measured, key: str) -> Table | None:
    """Show the gain of one of `RESAMPLED` over the baseline on each set; None without records."""
    rows = []
    for form in FORMS:
        shown = [row for _, row in _rows_of(2, form, measured) if row]
        for row in shown:
            if row.form == form and measured.of(row) and row != baseline_of(measured.rows, form):
                gains = [measured.gain(row, shown, test, key) for test in measured.tests]
                label = f"{row.label}{FORMS[form].removesuffix(' form')}"
                rows.append(_estimates_row(label, gains))
    return _by_set(measured, f"Gain over the baseline: {RESAMPLED[key]}", "", ("row",), rows)


def effect_table(measured: Measured, key: str) -> Table | None:
    """Show what each part adds to a number; None where no two rows differ in one alone."""
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
                rows.append(
                    _estimates_row(f"{part}{FORMS[form] or ', paper form'}", effects, paper)
                )
    text = (
        "The mean of all pairs of Table II's rows that differ in the part alone, with it minus "
        "without it."
    )
    title = f"What each part adds: {RESAMPLED[key]}"
    return _by_set(measured, title, text, ("part", "paper"), rows)


def form_table(measured: Measured, key: str, form: str) -> Table | None:
    """Show what a form of each row adds to that of its twin; None without both."""
    rows = []
    twins, own = (_rows_of(2, one, measured) for one in (TWINS[form], form))
    pool = [row for _, row in [*twins, *own] if row]
    for (_, row), (_, twin) in zip(twins, own, strict=True):
        if row and twin and row != twin and measured.of(row) and measured.of(twin):
            weights = {twin.config: 1.0, row.config: -1.0}
            samples = [measured.samples(pool, test, key) for test in measured.tests]
            rows.append(_estimates_row(row.label, [estimate(one, weights) for one in samples]))
    over = {"tuned": "Tuned form over the paper's", "pretrained_sum": "MAMA: a sum over a product"}
    title = f"{over[form]}: {RESAMPLED[key]}"
    return _by_set(measured, title, "", ("row",), rows)


def _by_set(
    measured: Measured,
    title: str,
    text: str,
    header: tuple[str, ...],
    rows: Sequence[tuple[Cell, ...]],
) -> Table | None:
    names = (*header, *map(short_test, measured.tests))
    return Table(title=title, text=text, header=names, rows=tuple(rows)) if rows else None


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
        label = f"{paper.label}, as in the {row.form} form" if twin else paper.label
        gain = rounded(paper.map_percent - base_map, 1, plus=True)
        published = (Cell(text=f"{paper.map_percent:.1f}"), Cell(text=gain))
        cells.append((_name(label), *published, *_our_cells(measured, row, rows)))
    return Table(
        title=TITLES[number] + FORMS[form],
        text=f"Measured on {short_test(measured.tests[0])}.",
        header=("row", "paper: mAP", "gain", *_our_header(measured)),
        rows=tuple(cells),
    )


def _our_header(measured: Measured) -> tuple[str, ...]:
    headline, *others = measured.numbers
    steps = ("steps",) if measured.is_of_equal_time else ()
    sizes = ("M weights", "GMACs", *steps, "s a step", "seeds")
    return (f"ours: {RESAMPLED[headline]}", "gain", *(RESAMPLED[key] for key in others), *sizes)


def _our_cells(measured: Measured, row: Row | None, pool: Sequence[Row]) -> list[Cell]:
    if row is None or not measured.of(row):
        return [Cell(text=NOTHING)] * len(_our_header(measured))
    test, (headline, *others) = measured.tests[0], measured.numbers
    records = list(measured.of(row).values())
    return [
        _estimate_cell(measured.value(row, pool, test, headline)),
        _estimate_cell(measured.gain(row, pool, test, headline), plus=True),
        *(_estimate_cell(measured.value(row, pool, test, key), short=True) for key in others),
        *_size_cells(records, with_steps=measured.is_of_equal_time),
    ]


def _size_cells(records: Sequence[Record], *, with_steps: bool) -> list[Cell]:
    size = records[0].content["size"]
    steps = [record.content["times"].get("seconds_a_step") for record in records]
    known = [seconds for seconds in steps if seconds is not None]
    iterations = records[0].content["curve"]["iteration"][-1] + 1
    return [
        Cell(text=f"{size['parameters'] / 1e6:.1f}"),
        Cell(text=f"{size['gmacs']:.1f}"),
        *([Cell(text=f"{iterations:,}")] if with_steps else []),
        Cell(text=f"{statistics.median(known):.2f}" if known else NOTHING),
        Cell(text=" ".join(str(record.seed) for record in records)),
    ]


def _estimates_row(
    name: str, estimates: Sequence[Estimate | None], *paper: Cell
) -> tuple[Cell, ...]:
    return (_name(name), *paper, *(_estimate_cell(one, plus=True) for one in estimates))


def _estimate_cell(one: Estimate | None, *, plus: bool = False, short: bool = False) -> Cell:
    if one is None:
        return Cell(text=NOTHING)
    text = rounded(one.value, 1, plus)
    if short or one.low is None:
        return Cell(text=text)
    ends = " to ".join(rounded(end, 1, plus) for end in (one.low, one.high))
    return Cell(text=text, interval=ends, strong=plus and one.is_clear)


def _name(text: str) -> Cell:
    return Cell(text=text, is_number=False)
