"""The page, the Markdown and the picture of training curves of a set of records."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import acnet
from acnet.errors import UserError
from acnet.files import atomic_write, write_text
from acnet.templates import render
from projects.ACNet.tables.estimates import LEVEL, Measured
from projects.ACNet.tables.plan import short_test
from projects.ACNet.tables.record import (
    BOOTSTRAP_SEED,
    COUNT_ERROR,
    HEADLINE,
    MAX_DETECTIONS,
    REPLICATES,
    RESAMPLED,
    Record,
)
from projects.ACNet.tables.report import (
    Cell,
    Table,
    effect_table,
    form_table,
    gain_table,
    paper_tables,
)
from projects.ACNet.tables.rows import FORMS, TITLES, TWINS

PAGE, MARKDOWN, PICTURE = "index.html", "results.md", "curves.png"
SHOWN_BY_SET = (HEADLINE, f"AP@{MAX_DETECTIONS}")
DATA_NAMES = {"toy": "generated photos", "acne04": "ACNE04", "voc07": "PASCAL VOC 2007"}
CURVES = {"total_loss": "loss", "bbox/AP50": "AP50 in %"}
LINE_STYLES, COLORS = ("-", "--", ":"), 10


def write_reports(measured: Measured, data: str, output: Path, *, markdown: Path | None) -> Path:
    """Write the page and the Markdown into a folder, and the Markdown into a document.

    There is one record at least. The document, if any, has markers of the data set's name.
    """
    contents = _contents(measured, data)
    picture = PICTURE if draw_curves(measured, output / PICTURE) else ""
    write_text(output / MARKDOWN, _markdown(contents, picture, level=1))
    template = Path(__file__).with_name("tables.html.j2")
    values = {"contents": contents, "picture": picture, "version": acnet.__version__}
    write_text(output / PAGE, render(template, **values))
    if markdown is not None:
        name = f"images/tables_{data}.png"
        if picture:
            draw_curves(measured, markdown.parent / name)
        text = _markdown(contents, name if picture else "", level=2)
        write_between_markers(markdown, data, text)
    return output / PAGE


def write_between_markers(path: Path, marker: str, text: str) -> None:
    """Replace what stands between the lines of a document that say begin and end of this marker.

    A document that does not exist is made of these alone.
    """
    begin, end = (f"<!-- acnet tables {marker}: {word} -->" for word in ("begin", "end"))
    content = path.read_text(encoding="utf-8") if path.is_file() else f"{begin}\n{end}\n"
    head, found_begin, rest = content.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found_begin or not found_end or begin in rest or end in tail:
        raise UserError(
            "The tables go between two lines of a document, so that the rest of it stays. Received "
            f"{path}, which does not have each of them once:\n{begin}\n{end}\nAdd them where the "
            "tables belong."
        )
    write_text(path, f"{head}{begin}\n\n{text}\n{end}{tail}")


def _contents(measured: Measured, data: str) -> dict[str, Any]:
    """What a page says: title, facts that all rows share, tables, notes on how to read them."""
    extra = [make(measured, key) for key in SHOWN_BY_SET for make in (gain_table, effect_table)]
    extra += [form_table(measured, HEADLINE, form) for form in TWINS]
    return {
        "title": f"The paper's tables on {DATA_NAMES[data]}",
        "facts": _facts(measured.records),
        "tables": [*paper_tables(measured), *(one for one in extra if one)],
        "notes": _notes(measured),
    }


def _facts(records: Sequence[Record]) -> list[tuple[str, str]]:
    settings = records[0].settings
    tests = records[0].content["tests"]
    shown = (
        f"{short_test(name)}, {test['photos']:,} photos with {test['lesions']:,} boxes"
        for name, test in tests.items()
    )
    versions = {
        ", ".join(" ".join(pair) for pair in record.content["versions"].items())
        for record in records
    }
    machines = {_machine(**record.content["machine"]) for record in records}
    length = f"iterations of {settings['images a batch']} images"
    if "seconds" in settings:
        length = f"{settings['seconds']:,} s by the pace of each row, in {length}"
    else:
        length = f"{settings['iterations']:,} {length}"
    facts = [
        ("training", length),
        ("start", settings["start"]),
        ("precision", settings["precision"]),
        ("changed for all rows", " ".join(settings["overrides"])),
        ("test sets", "; ".join(shown)),
        ("machine", "; ".join(sorted(machines))),
        ("versions", "; ".join(sorted(versions))),
    ]
    return [(name, value) for name, value in facts if value]


def _machine(*, processor: str, cores: int, threads: int, gpu: str | None, jobs: int) -> str:
    name = gpu or f"{processor}, cores: {cores}"
    return f"{name}, trainings at a time: {jobs}, threads of each: {threads}"


def _notes(measured: Measured) -> list[str]:
    seeds = max(len(measured.of(row)) for row in measured.rows)
    over = (
        "photos and seeds: photos by a paired bootstrap of the mean over seeds "
        f"({REPLICATES:,} replicates, seed {BOOTSTRAP_SEED}), seeds by Student's t with the spread "
        "pooled over the rows of the table; the half-widths of the two add as squares"
        if seeds > 1
        else f"photos alone, by a paired bootstrap ({REPLICATES:,} replicates, seed "
        f"{BOOTSTRAP_SEED}), since there is one seed"
    )
    notes = [
        f"Numbers are means over seeds, in percent. Our headline is {RESAMPLED[HEADLINE]} (11 "
        "points), which is probably what the paper calls mAP; gains are over the baseline with the "
        "same seeds, in percentage points.",
        f"Intervals are {LEVEL:.0%} over {over}. Bold gains have their whole interval on one side "
        "of 0. Of twenty gains without any effect, one is bold by chance.",
        "Sensitivity (sens.) and FROC are by IoU 0.5; FP are false positives a photo. The time of "
        "a step is a median, comparable only where machine and trainings at a time are the same.",
    ]
    if COUNT_ERROR in measured.numbers:
        notes.append(
            "The count error is the mean absolute error of a photo's count in lesions, less being "
            "better; each half of the photos is counted by the score threshold that counts the "
            "other half best."
        )
    states = len({record.content["source"] for record in measured.records})
    if states > 1:
        notes.append(f"The records come from {states} states of the source code.")
    return notes


def _markdown(contents: Mapping[str, Any], picture: str, *, level: int) -> str:
    """Write a page's contents in Markdown.

    The title has a heading of this level; from 2 on, the document around it has a title, and this
    one is left out.
    """
    deeper = "#" * (level + 1 if level == 1 else level)
    parts = [f"# {contents['title']}"] if level == 1 else []
    parts.append("\n".join(f"- {name}: {value}" for name, value in contents["facts"]))
    parts += [_table_markdown(table, deeper) for table in contents["tables"]]
    if picture:
        parts.append(f"{deeper} Training curves\n\n![Loss and AP50 by iteration]({picture})")
    parts.append("\n\n".join(contents["notes"]))
    return "\n\n".join(parts) + "\n"


def _table_markdown(table: Table, heading: str) -> str:
    marks = ["---:" if cell.is_number else "---" for cell in table.rows[0]]
    rows = [table.header, marks, *([_cell(cell) for cell in row] for row in table.rows)]
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    text = f"{table.text}\n\n" if table.text else ""
    return f"{heading} {table.title}\n\n{text}" + "\n".join(lines)


def _cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.strong else cell.text
    return f"{text} ({cell.interval})" if cell.interval else text


def draw_curves(measured: Measured, path: Path) -> bool:
    """Draw loss and AP50 by iteration of all measured rows, each form and table apart.

    A line is the mean of a row's trainings, and a band spans them. Where there is nothing to draw,
    there is no picture, and the answer is False.
    """
    panels: dict[tuple[str, str], dict[str, list]] = {}
    for row in measured.rows:  # form by form, and table by table
        title = TITLES[row.table].partition(":")[0] if row.table else "Other rows"
        title += FORMS[row.form]
        records = [one for one in measured.of(row).values() if one.row == row.config]
        for key, name in CURVES.items():
            curves = [_known(record.content["curve"], key) for record in records]
            if any(len(values) > 1 for _, values in curves):
                label = row.label if row.table else row.config
                panels.setdefault((title, name), {})[label] = curves
    if panels:
        draw_panels(panels, path)
    return bool(panels)


def _known(curve: Mapping[str, list], key: str) -> tuple[list[float], list[float]]:
    """Iterations and values of a record's curve where it has the number."""
    pairs = zip(curve["iteration"], curve.get(key, ()), strict=False)
    known = [(iteration + 1, value) for iteration, value in pairs if value is not None]
    return [iteration for iteration, _ in known], [value for _, value in known]


def draw_panels(
    panels: Mapping[tuple[str, str], Mapping[str, Sequence[tuple[Sequence, Sequence]]]], path: Path
) -> None:
    """Draw panels of lines, two a row, by title and name of the number.

    A line has a label, and iterations and values of several trainings, which its band spans.
    """
    columns, rows = min(2, len(panels)), -(-len(panels) // 2)
    with matplotlib.rc_context({"font.size": 9}):
        figure = Figure(figsize=(6.0 * columns, 4.2 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for one, ((title, name), lines) in zip(axes, panels.items(), strict=False):
            _draw_lines(one, lines)
            one.set(title=title, xlabel="iteration", ylabel=name)
            one.spines[["top", "right"]].set_visible(False)
            if one.lines:
                one.legend(frameon=False, fontsize="small")
        for one in axes[len(panels) :]:
            one.set_axis_off()
        with atomic_write(path) as temporary:
            figure.savefig(temporary, dpi=110)


def _draw_lines(axes: Axes, lines: Mapping[str, Sequence[tuple[Sequence, Sequence]]]) -> None:
    for place, (label, curves) in enumerate(lines.items()):
        iterations = sorted(set.intersection(*(set(steps) for steps, _ in curves)))
        if not iterations:
            continue
        values = np.array([np.interp(iterations, *curve) for curve in curves])
        color = f"C{place % COLORS}"
        style = LINE_STYLES[place // COLORS % len(LINE_STYLES)]
        axes.plot(iterations, values.mean(axis=0), lw=1.4, label=label, color=color, ls=style)
        if len(values) > 1:
            ends = (values.min(axis=0), values.max(axis=0))
            axes.fill_between(iterations, *ends, color=color, alpha=0.12, lw=0)
