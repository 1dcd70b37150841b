"""Which configs are rows, and the paper's numbers against the heads of the configs."""

import ast
import re

import pytest

from acnet.config import resolve_config
from acnet.errors import UserError
from projects.ACNet.tables import rows as rows_module
from projects.ACNet.tables.estimates import Measured
from projects.ACNet.tables.rows import DATA, PAPER_ROWS, PARTS, baseline_of, choose_rows, known_rows


def names(rows) -> list[str]:
    return [row.config for row in rows]


def test_a_table_is_its_rows_in_the_papers_order():
    rows = names(choose_rows("toy", tables=[2], forms=["paper"]))
    keys = [row.key for row in PAPER_ROWS if row.table == 2]
    assert rows == [f"toy/table2/{key}" for key in keys]
    assert choose_rows("toy") == []
    for row in PAPER_ROWS:
        if row.table == 2 and row.key not in ("baseline", "acnet"):
            assert row.key == "_".join(row.parts).lower()
    assert [row.parts for row in PAPER_ROWS if (row.table, row.key) == (2, "acnet")] == [PARTS]


def test_the_baseline_comes_along_and_a_table_of_detectors_has_acnet():
    with_baseline = names(choose_rows("toy", names=["cb_frm"], forms=["paper"]))
    assert with_baseline == ["toy/table2/baseline", "toy/table2/cb_frm"]
    rows = names(choose_rows("toy", tables=[1], forms=["paper"]))
    assert rows[:2] == ["toy/table1/faster_rcnn_r18_c4", "toy/table1/rfcn_r18"]
    assert rows[2:] == ["toy/table2/baseline", "toy/table2/acnet"]


def test_a_short_name_means_both_forms_and_a_whole_one_itself(monkeypatch):
    configs = ["baseline", "cb", "cb_dce"]  # one has a tuned twin, the baseline none
    configs = [*(f"toy/table2/{key}" for key in configs), "toy/tuned/table2/cb_dce"]
    monkeypatch.setattr(rows_module, "available_configs", lambda: configs)
    base, _, paper, tuned = configs
    assert names(choose_rows("toy", names=["table2/cb_dce"])) == [base, paper, tuned]
    assert names(choose_rows("toy", names=["toy/table2/cb_dce.py"])) == [base, paper]
    assert names(choose_rows("toy", names=["cb_dce"], forms=["tuned"])) == [base, tuned]
    # A form with a baseline of its own uses it.
    assert baseline_of(known_rows("toy"), "tuned").config == base
    configs.append("toy/tuned/table2/baseline")
    assert baseline_of(known_rows("toy"), "tuned").config == configs[-1]
    assert baseline_of(known_rows("toy"), "paper").config == base


def test_a_form_that_changes_mama_shares_the_other_rows_with_its_twin():
    forms = ["pretrained", "pretrained_sum"]
    rows = choose_rows("toy", tables=[2], forms=forms)
    assert [row.form for row in rows] == ["pretrained"] * 9 + ["pretrained_sum"] * 4
    base = baseline_of(known_rows("toy"), "pretrained_sum")
    assert base == baseline_of(known_rows("toy"), "pretrained") == rows[0]
    measured = Measured(rows, [])
    assert measured.find(2, "cb_mama", "pretrained_sum").form == "pretrained_sum"
    assert measured.find(2, "cb", "pretrained_sum").form == "pretrained"
    assert {row.form for row in choose_rows("toy", tables=[2])} == {"paper", "tuned"}


def test_the_whole_acnet_of_each_data_set():
    found = {
        data: [row.config for row in known_rows(data) if row.key == "acnet" and row.table]
        for data in ("acne04", "voc07")
    }
    assert found["acne04"] == ["acne04/acnet_r101", "acne04/acnet_r101_tuned"]
    assert found["voc07"] == ["voc07/acnet_r101"]  # the small twin is no row of the paper
    assert baseline_of(known_rows("voc07"), "paper").config == "voc07/faster_rcnn_r101_c4"


def test_unknown_names_and_tables_say_what_there_is():
    with pytest.raises(UserError, match=r"Did you mean .*cb_frm"):
        choose_rows("toy", names=["cb_fmr"])
    with pytest.raises(UserError, match="Choose of 1, 2, 3"):
        choose_rows("acne04", tables=[4])


IN_PAPER = [row for data in DATA for row in known_rows(data) if row.paper and row.form == "paper"]


@pytest.mark.parametrize("row", IN_PAPER, ids=[row.config for row in IN_PAPER])
def test_a_config_names_the_number_of_its_row(row):
    first_line = ast.get_docstring(ast.parse(resolve_config(row.config).read_text())).split("\n")[0]
    (number,) = re.findall(r"(\d+\.\d) mAP", first_line)
    assert float(number) == row.paper.map_percent


def test_every_row_that_the_paper_trains_has_a_config():
    ours = {(row.table, row.key) for row in IN_PAPER}
    # Table I ends with Table II's (h).
    assert {(row.table, row.key) for row in PAPER_ROWS if row.key} - ours == {(1, "acnet")}
