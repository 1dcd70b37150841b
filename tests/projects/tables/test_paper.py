"""The paper's numbers, against the heads of the configs, which were written from the paper too."""

import ast
import re

import pytest

from acnet.config import resolve_config
from acnet.tables.paper import PAPER_ROWS, PARTS, paper_row
from acnet.tables.rows import DATA, known_rows

IN_PAPER = [row for data in DATA for row in known_rows(data) if row.paper and row.form == "letter"]


@pytest.mark.parametrize("row", IN_PAPER, ids=[row.config for row in IN_PAPER])
def test_a_config_names_the_number_of_its_row(row):
    first_line = ast.get_docstring(ast.parse(resolve_config(row.config).read_text())).split("\n")[0]
    (number,) = re.findall(r"(\d+\.\d) mAP", first_line)
    assert float(number) == row.paper.map_percent


def test_every_row_that_the_paper_trains_has_a_config():
    ours = {(row.table, row.key) for row in IN_PAPER}
    # Table I ends with Table II's (h).
    assert {(row.table, row.key) for row in PAPER_ROWS if row.key} - ours == {(1, "acnet")}


def test_the_gains_that_the_papers_text_names():
    """Section IV-A.2: 4.9 (b), from 15.2 to 15.7 (c), 1.0 and 2.2 (d, f), 1.5 and 2.8 (e, g)."""

    def gain(key: str, over: str) -> float:
        return round(paper_row(2, key).map_percent - paper_row(2, over).map_percent, 1)

    assert gain("cb", "baseline") == 4.9
    assert (paper_row(2, "cb").map_percent, paper_row(2, "cb_frm").map_percent) == (15.2, 15.7)
    assert (gain("cb_dce", "cb"), gain("cb_frm_dce", "cb_frm")) == (1.0, 2.2)
    assert (gain("cb_mama", "cb"), gain("cb_frm_mama", "cb_frm")) == (1.5, 2.8)


def test_a_row_is_named_after_its_parts():
    for row in PAPER_ROWS:
        if row.table == 2 and row.key not in ("baseline", "acnet"):
            assert row.key == "_".join(row.parts).lower()
    assert paper_row(2, "acnet").parts == PARTS
    assert paper_row(2, "nothing") is None
