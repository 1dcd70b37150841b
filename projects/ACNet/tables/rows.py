"""Which configs are rows of which table.

A row is a file: `toy/table2/cb_frm.py` is row (c) of Table II on generated photos. Files in a
folder that begins with "tuned", such as `toy/tuned/table2/cb_frm.py`, are the same rows in a second
form, that which trains best rather than that of the paper's letter.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from acnet.config import available_configs
from acnet.errors import UserError
from acnet.tables.paper import PAPER_ROWS, TABLES, PaperRow, paper_row

DATA = ("toy", "acne04", "voc07")
FORMS = ("letter", "tuned")
BASELINE = "baseline"
_DEPTH = re.compile(r"_r\d+|_c4")  # "faster_rcnn_r101_c4" is the row "faster_rcnn"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One config that is trained as a row.

    Args:
        config: its name, such as "toy/table2/cb_frm".
        data: one of `DATA`.
        table: 1 to 4; None for a row that is in no table of the paper.
        key: as in `PaperRow`.
        form: "letter" or "tuned".
    """

    config: str
    data: str
    table: int | None
    key: str
    form: str

    @property
    def paper(self) -> PaperRow | None:
        """The row of the paper, where there is one."""
        return paper_row(self.table, self.key) if self.table else None

    @property
    def label(self) -> str:
        """What a table calls it."""
        return self.paper.label if self.paper else self.key.replace("_", " ")


def known_rows(data: str) -> list[Row]:
    """List the configs of a data set that can be rows, in the paper's order.

    Args:
        data: one of `DATA`.
    """
    rows = [_row_of(name, data) for name in available_configs() if name.startswith(f"{data}/")]
    return sorted(rows, key=_paper_order)


def choose_rows(
    data: str,
    *,
    tables: Sequence[int] = (),
    names: Sequence[str] = (),
    forms: Sequence[str] = FORMS,
) -> list[Row]:
    """Choose rows by tables and by names, and add the baseline that gains refer to.

    Args:
        data: one of `DATA`.
        tables: all rows of these.
        names: of configs, whole or the last part; in every chosen form.
        forms: of `FORMS`.

    Returns:
        The rows, each once, in the paper's order.

    Raises:
        UserError: a name or a table is unknown.
    """
    known = known_rows(data)
    chosen = [row for row in known if row.table in tables and row.form in forms]
    if 1 in tables:  # its last row is Table II's (h)
        chosen += [row for row in known if _is_acnet(row) and row.form in forms]
    for table in tables:
        if not any(row.table == table for row in chosen):
            raise UserError(
                "A table is trained from its rows' configs. Received --tables "
                f"{table}, for which projects/ACNet/configs/{data} has none in the form(s) "
                f"{', '.join(forms)}. Choose of {_tables_of(known)}, or another --data."
            )
    for name in names:
        chosen += _named(name, known, forms)
    chosen += [base for form in forms for base in [baseline_of(known, form)] if base and chosen]
    return sorted(set(chosen), key=_paper_order)


def baseline_of(rows: Iterable[Row], form: str) -> Row | None:
    """Find the row that gains of a form refer to.

    Args:
        rows: of one data set.
        form: of `FORMS`.

    Returns:
        Table II's baseline in this form, or else in the paper's letter; for VOC, which has none,
        Faster R-CNN; None where there is no such row.
    """
    rows = list(rows)
    for wanted in dict.fromkeys((form, FORMS[0])):
        for table, key in ((2, BASELINE), (4, "faster_rcnn")):
            found = [row for row in rows if (row.table, row.key, row.form) == (table, key, wanted)]
            if found:
                return found[0]
    return None


def _row_of(config: str, data: str) -> Row:
    *folders, stem = config.split("/")[1:]
    tuned = stem.endswith("_tuned") or any(folder.startswith("tuned") for folder in folders)
    key = _DEPTH.sub("", stem).removesuffix("_tuned")
    tables = [int(folder[-1]) for folder in folders if re.fullmatch(r"(tuned_)?table[1-4]", folder)]
    table = tables[0] if tables else _table_of(stem, key, data, in_folder=bool(folders))
    return Row(config=config, data=data, table=table, key=key, form=FORMS[tuned])


def _table_of(stem: str, key: str, data: str, *, in_folder: bool) -> int | None:
    """A config outside the tables' folders: VOC's are Table IV, ACNE04's `acnet_r101` is (h)."""
    if data == "voc07":  # the same on a ResNet-18 is no row of the paper
        return 4 if "_r101" in stem and paper_row(4, key) else None
    if data == "acne04" or in_folder:
        return 2 if paper_row(2, key) else None
    return None  # toy/acnet_r18 is the demo, with a gate of its own


def _is_acnet(row: Row) -> bool:
    return row.table == 2 and row.key == "acnet"


def _named(name: str, known: Sequence[Row], forms: Sequence[str]) -> list[Row]:
    name = name.removesuffix(".py")
    whole = [row for row in known if row.config == name]
    if whole:
        return whole
    found = [row for row in known if row.form in forms and f"/{row.config}".endswith(f"/{name}")]
    if found:
        return found
    names = [row.config for row in known]
    short = [row.config.rpartition("/")[2] for row in known]
    close = difflib.get_close_matches(name, [*names, *short], n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"There are: {', '.join(names)}."
    raise UserError(
        f"--rows takes names of configs, whole or the last part. Received {name!r}, which is none "
        f"of this data set. {hint}"
    )


def _tables_of(rows: Iterable[Row]) -> str:
    return ", ".join(map(str, sorted({row.table for row in rows if row.table}))) or "none"


def _paper_order(row: Row) -> tuple[int, int, int, str]:
    order = {(one.table, one.key): place for place, one in enumerate(PAPER_ROWS)}
    table = row.table or len(TABLES) + 1
    place = order.get((row.table, row.key), len(order))
    return FORMS.index(row.form), table, place, row.config
