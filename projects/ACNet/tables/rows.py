"""The rows of the paper's tables: its numbers, and which of our configs stand for which row.

The numbers are mAP in percent, on ACNE04 (Tables I to III) and on VOC 2007 (Table IV). Which parts
a row of Table II has follows from section IV-A.2, which says what each adds to which.

A row of ours is a config file: `toy/table2/cb_frm.py` is row (c) of Table II on generated photos.
Files in a folder that is named by a form, such as `toy/tuned/table2/cb_frm.py`, are the same rows
in that form; all others are in the paper's.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from acnet.config import available_configs
from acnet.errors import UserError

DATA = ("toy", "acne04", "voc07")
# What titles say of the forms of a row: the paper's; what trains best; the paper's from a
# pretrained backbone, and so with the other reading of MAMA.
FORMS = {
    "paper": "",
    "tuned": ", tuned form",
    "pretrained": ", pretrained",
    "pretrained_sum": ", pretrained, MAMA as a sum",
}
PAPER = "paper"
# Which form a row has where it is the same in another.
TWINS = {"tuned": PAPER, "pretrained_sum": "pretrained"}
PARTS = ("CB", "FRM", "DCE", "MAMA")
BASELINE = "baseline"
TITLES = {
    1: "Table I: detectors",
    2: "Table II: parts of ACNet",
    3: "Table III: levels, with and without DCE",
    4: "Table IV: PASCAL VOC 2007",
}
_DEPTH = re.compile(r"_r\d+|_vgg16|_c4")  # "faster_rcnn_r101_c4" is the row "faster_rcnn"


@dataclass(frozen=True)
class PaperRow:
    """One row of a table of the paper."""

    table: int  # 1 to 4
    label: str  # what our table calls the row
    map_percent: float  # the paper's mAP
    # Name of our config without the depth of its ResNet, such as "cb_frm"; "" for a row that is
    # somebody else's published number, which we do not train.
    key: str = ""
    parts: tuple[str, ...] | None = None  # of `PARTS`, where the table is about them


PAPER_ROWS = (
    PaperRow(1, "Faster R-CNN, ResNet101", 10.3, "faster_rcnn"),
    PaperRow(1, "R-FCN, ResNet101", 14.0, "rfcn"),
    PaperRow(1, "Rashataprucksa et al., ResNet101", 14.7),
    PaperRow(1, "ACNet, dual ResNet101", 20.5, "acnet"),
    PaperRow(2, "baseline", 10.3, "baseline", ()),
    PaperRow(2, "(a) FRM + DCE + MAMA", 15.1, "frm_dce_mama", ("FRM", "DCE", "MAMA")),
    PaperRow(2, "(b) CB", 15.2, "cb", ("CB",)),
    PaperRow(2, "(c) CB + FRM", 15.7, "cb_frm", ("CB", "FRM")),
    PaperRow(2, "(d) CB + DCE", 16.2, "cb_dce", ("CB", "DCE")),
    PaperRow(2, "(e) CB + MAMA", 16.7, "cb_mama", ("CB", "MAMA")),
    PaperRow(2, "(f) CB + FRM + DCE", 17.9, "cb_frm_dce", ("CB", "FRM", "DCE")),
    PaperRow(2, "(g) CB + FRM + MAMA", 18.5, "cb_frm_mama", ("CB", "FRM", "MAMA")),
    PaperRow(2, "(h) CB + FRM + DCE + MAMA", 20.5, "acnet", PARTS),
    PaperRow(3, "L1-L4, sum", 18.1, "l1_l4_sum"),
    PaperRow(3, "L1-L4, DCE", 20.0, "l1_l4"),
    PaperRow(3, "L2-L4, sum", 18.5, "l2_l4_sum"),
    PaperRow(3, "L2-L4, DCE", 20.5, "l2_l4"),
    PaperRow(3, "L3-L4, sum", 18.2, "l3_l4_sum"),
    PaperRow(3, "L3-L4, DCE", 20.2, "l3_l4"),
    PaperRow(4, "SSD300, VGG16, 300x300", 77.2, "ssd300"),
    PaperRow(4, "DSSD321, ResNet101, 321x321", 78.6, "dssd321"),
    PaperRow(4, "DES300, ResNet101, 300x300", 79.7, "des300"),
    PaperRow(4, "RefineDet300, VGG16, 300x300", 80.0, "refinedet320"),
    PaperRow(4, "RFBNet300, VGG16, 300x300", 80.5, "rfbnet300"),
    PaperRow(4, "SSD512, VGG16, 512x512", 79.5, "ssd512"),
    PaperRow(4, "DSSD513, ResNet101, 513x513", 81.5, "dssd513"),
    PaperRow(4, "DES512, VGG16, 512x512", 81.7, "des512"),
    PaperRow(4, "RefineDet512, VGG16, 512x512", 81.8, "refinedet512"),
    PaperRow(4, "RFBNet512, VGG16, 512x512", 82.1, "rfbnet512"),
    PaperRow(4, "Faster R-CNN, ResNet101, 1000x600", 76.4, "faster_rcnn"),
    PaperRow(4, "R-FCN, ResNet101, 1000x600", 80.5, "rfcn"),
    PaperRow(4, "ACNet, dual ResNet101, 1000x600", 81.8, "acnet"),
    PaperRow(4, "CoupleNet, ResNet101, 1000x600", 82.7, "couplenet"),
)
_BY_KEY = {(row.table, row.key): row for row in PAPER_ROWS if row.key}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One config that is trained as a row."""

    config: str  # its name, such as "toy/table2/cb_frm"
    data: str  # one of `DATA`
    table: int | None  # 1 to 4; None for a row that is in no table of the paper
    key: str  # as in `PaperRow`
    form: str  # one of `FORMS`

    @property
    def paper(self) -> PaperRow | None:
        """The row of the paper, where there is one."""
        return _BY_KEY.get((self.table, self.key))

    @property
    def label(self) -> str:
        """What a table calls it."""
        return self.paper.label if self.paper else self.key.replace("_", " ")


def known_rows(data: str) -> list[Row]:
    """List the configs of a data set that can be rows, in the paper's order."""
    rows = [_row_of(name, data) for name in available_configs() if name.startswith(f"{data}/")]
    return sorted(rows, key=_paper_order)


def choose_rows(
    data: str,
    *,
    tables: Sequence[int] = (),
    names: Sequence[str] = (),
    forms: Sequence[str] = (PAPER, "tuned"),
) -> list[Row]:
    """Choose rows by tables and by names, and add the baseline that gains refer to.

    Names are those of configs, whole or the last part, in every chosen form.
    """
    known = known_rows(data)
    chosen = [row for row in known if row.table in tables and row.form in forms]
    if 1 in tables:  # its last row is Table II's (h)
        chosen += [row for row in known if (row.table, row.key) == (2, "acnet")]
        chosen = [row for row in chosen if row.form in forms]
    for table in tables:
        if not any(row.table == table for row in chosen):
            there = sorted({row.table for row in known if row.table})
            raise UserError(
                "A table is trained from its rows' configs. Received --tables "
                f"{table}, for which projects/ACNet/configs/{data} has none in the form(s) "
                f"{', '.join(forms)}. Choose of {', '.join(map(str, there)) or 'none'}, or "
                "another --data."
            )
    for name in names:
        chosen += _named(name, known, forms)
    chosen += [base for form in forms for base in [baseline_of(known, form)] if base and chosen]
    return sorted(set(chosen), key=_paper_order)


def baseline_of(rows: Iterable[Row], form: str) -> Row | None:
    """Find the row that gains of a form refer to.

    That is Table II's baseline in this form, or else in that of its twins; for VOC, which has none,
    Faster R-CNN.
    """
    by_place = {(row.table, row.key, row.form): row for row in rows}
    for wanted in (form, TWINS.get(form)):
        for table, key in ((2, BASELINE), (4, "faster_rcnn")):
            if (table, key, wanted) in by_place:
                return by_place[table, key, wanted]
    return None


def part_pairs(part: str) -> list[tuple[PaperRow, PaperRow]]:
    """List the pairs of Table II's rows that differ in one of `PARTS`: without it, and with it."""
    rows = [row for row in PAPER_ROWS if row.table == 2]
    return [
        (without, with_part)
        for without in rows
        for with_part in rows
        if part not in without.parts and {*without.parts, part} == set(with_part.parts)
    ]


def _row_of(config: str, data: str) -> Row:
    *folders, stem = config.split("/")[1:]
    form = "tuned" if stem.endswith("_tuned") else folders[0] if folders else PAPER
    key = _DEPTH.sub("", stem).removesuffix("_tuned")
    tables = [int(folder[-1]) for folder in folders if re.fullmatch(r"(tuned_)?table[1-4]", folder)]
    table = tables[0] if tables else _table_of(stem, key, data, in_folder=bool(folders))
    sized = re.compile(rf"{key}\d+")  # "ssd" in small stands for "ssd300", the first of its sizes
    key = next((one for place, one in _BY_KEY if place == table and sized.fullmatch(one)), key)
    return Row(
        config=config, data=data, table=table, key=key, form=form if form in FORMS else PAPER
    )


def _table_of(stem: str, key: str, data: str, *, in_folder: bool) -> int | None:
    """A config outside the tables' folders: VOC's are Table IV, ACNE04's `acnet_r101` is (h)."""
    if data == "voc07":  # the same on a ResNet-18 is no row of the paper
        return 4 if "_r18" not in stem and (4, key) in _BY_KEY else None
    if data == "acne04" or in_folder:
        return 2 if (2, key) in _BY_KEY else None
    return None  # toy/acnet_r18 is the demo, with a gate of its own


def _named(name: str, known: Sequence[Row], forms: Sequence[str]) -> list[Row]:
    name = name.removesuffix(".py")
    whole = [row for row in known if row.config == name]
    found = [row for row in known if row.form in forms and f"/{row.config}".endswith(f"/{name}")]
    if whole or found:
        return whole or found
    names = [row.config for row in known]
    short = [config.rpartition("/")[2] for config in names]
    close = difflib.get_close_matches(name, [*names, *short], n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"There are: {', '.join(names)}."
    raise UserError(
        f"--rows takes names of configs, whole or the last part. Received {name!r}, which is none "
        f"of this data set. {hint}"
    )


def _paper_order(row: Row) -> tuple[int, int, int, str]:
    places = list(_BY_KEY)
    place = (row.table, row.key)
    order = places.index(place) if place in _BY_KEY else len(places)
    return list(FORMS).index(row.form), row.table or len(TITLES) + 1, order, row.config
