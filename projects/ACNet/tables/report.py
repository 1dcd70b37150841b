"""The page, the Markdown and the picture of a set of records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import acnet
from acnet.files import write_text
from acnet.tables.contents import (
    Table,
    effect_table,
    form_table,
    gain_table,
    paper_tables,
)
from acnet.tables.curves import draw_curves
from acnet.tables.estimates import LEVEL
from acnet.tables.markdown import tables_markdown, write_between_markers
from acnet.tables.measured import Measured
from acnet.tables.numbers import (
    BOOTSTRAP_SEED,
    HEADLINE,
    MAX_DETECTIONS,
    REPLICATES,
    RESAMPLED,
)
from acnet.tables.record import Record
from acnet.tables.test_sets import short_test
from acnet.visualization.templates import render

PAGE, MARKDOWN, PICTURE = "index.html", "results.md", "curves.png"
SHOWN_BY_SET = (HEADLINE, f"AP@{MAX_DETECTIONS}")
DATA_NAMES = {"toy": "generated photos", "acne04": "ACNE04", "voc07": "PASCAL VOC 2007"}


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a page says.

    Args:
        title: of the page.
        facts: name and value of what all rows share.
        tables: in order.
        notes: paragraphs on how to read them.
        picture: path of the training curves, relative to the page; "" for none.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    picture: str


def write_reports(
    measured: Measured, data: str, output: Path, *, markdown: Path | None, marker: str
) -> Path:
    """Write the page and the Markdown into a folder, and the Markdown into a document.

    Args:
        measured: rows and records, of which there is one at least.
        data: "toy", "acne04" or "voc07".
        output: the folder.
        markdown: document with markers, or None.
        marker: what its markers are called.

    Returns:
        The path of the page.

    Raises:
        UserError: the document has no such markers.
    """
    drawn = draw_curves(measured, output / PICTURE)
    contents = _contents(measured, data, PICTURE if drawn else "")
    write_text(output / MARKDOWN, tables_markdown(contents, level=1))
    page = render("tables.html.j2", contents=contents, version=acnet.__version__)
    write_text(output / PAGE, page)
    if markdown is not None:
        name = f"images/tables_{marker}.png"
        if drawn:
            draw_curves(measured, markdown.parent / name)
        contents = _contents(measured, data, name if drawn else "")
        write_between_markers(markdown, marker, tables_markdown(contents, level=2))
    return output / PAGE


def _contents(measured: Measured, data: str, picture: str) -> Contents:
    extra = [
        table
        for key in SHOWN_BY_SET
        for table in (gain_table(measured, key), effect_table(measured, key))
    ]
    extra.append(form_table(measured, HEADLINE))
    return Contents(
        title=f"The paper's tables on {DATA_NAMES[data]}",
        facts=_facts(measured.records),
        tables=(*paper_tables(measured), *(one for one in extra if one)),
        notes=_notes(measured),
        picture=picture,
    )


def _facts(records: Sequence[Record]) -> tuple[tuple[str, str], ...]:
    settings = records[0].settings
    tests = records[0].content["tests"]
    overrides = " ".join(settings["overrides"])
    length = f"{settings['iterations']:,} iterations of {settings['images a batch']} images"
    facts = [
        ("training", length),
        ("start", settings["start"]),
        ("precision", settings["precision"]),
        ("changed for all rows", overrides),
        ("test sets", "; ".join(_test_fact(name, test) for name, test in tests.items())),
        ("machine", "; ".join(_different(records, _machine))),
        ("versions", "; ".join(_different(records, _versions))),
    ]
    return tuple((name, value) for name, value in facts if value)


def _notes(measured: Measured) -> tuple[str, ...]:
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
    states = len({record.content["source"] for record in measured.records})
    if states > 1:
        notes.append(f"The records come from {states} states of the source code.")
    return tuple(notes)


def _different(records: Sequence[Record], describe) -> list[str]:
    return sorted({describe(record.content) for record in records})


def _machine(content: Mapping) -> str:
    machine = content["machine"]
    name = machine["gpu"] or f"{machine['processor']}, cores: {machine['cores']}"
    return f"{name}, trainings at a time: {machine['jobs']}, threads of each: {machine['threads']}"


def _versions(content: Mapping) -> str:
    return ", ".join(f"{name} {version}" for name, version in content["versions"].items())


def _test_fact(name: str, test: Mapping) -> str:
    return f"{short_test(name)}, {test['photos']:,} photos with {test['lesions']:,} boxes"
