"""The page, the Markdown and the curves, from records of made-up numbers."""

import re
from functools import partial

import cv2
import numpy as np
import pytest

from acnet.config import available_configs
from acnet.errors import UserError
from projects.ACNet.tables.estimates import Measured
from projects.ACNet.tables.page import draw_panels, write_between_markers, write_reports
from projects.ACNet.tables.record import HEADLINE, read_records
from projects.ACNet.tables.report import NOTHING, effect_table, form_table, gain_table, paper_tables
from projects.ACNet.tables.rows import PAPER_ROWS, choose_rows
from tests.projects.tables.samples import add_record

SEEDS = (1, 2, 3)
# Where our numbers are the paper's, our gains and effects are the paper's too.
PAPER = {row.key: row.map_percent for row in PAPER_ROWS if row.table == 2}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return records of Table II's nine rows and of a tuned one, three seeds each."""
    folder = tmp_path_factory.mktemp("results")
    for seed in SEEDS:
        for key, value in PAPER.items():
            add_record(folder, f"toy/table2/{key}", seed, value + seed)
        add_record(folder, "toy/tuned/table2/cb_dce", seed, 20.0 + seed, form="tuned")
    return folder


@pytest.fixture(scope="module")
def measured(results):
    """Return them with all rows of the tables; baseline, CB and CB + FRM have no tuned twin."""
    alike = [f"toy/tuned/table2/{key}" for key in ("baseline", "cb", "cb_frm")]
    there = [name for name in available_configs() if name not in alike]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("projects.ACNet.tables.rows.available_configs", lambda: there)
        rows = choose_rows("toy", tables=[1, 2, 3])
        return Measured(rows, list(read_records(results)))


def cells(table, first: str) -> list[str]:
    (row,) = [row for row in table.rows if row[0].text == first]
    return [cell.text for cell in row]


def test_paper_and_ours_stand_beside_each_other(measured):
    tables = {table.title: table for table in paper_tables(measured)}
    table = tables["Table II: parts of ACNet"]
    assert len(table.rows) == 9
    # 17.9 + (1 + 2 + 3) / 3; the gain is that of the paper, and the same with each seed.
    expected = ["(f) CB + FRM + DCE", "17.9", "+7.6", "19.9", "+7.6"]
    assert cells(table, expected[0])[:5] == expected
    assert cells(table, expected[0])[-4:] == ["5.2", "3.2", "0.50", "1 2 3"]
    assert cells(table, "baseline")[3:5] == ["12.3", NOTHING]
    gain = next(row[4] for row in table.rows if row[0].text == expected[0])
    assert (gain.interval, gain.strong) == ("+7.6 to +7.6", True)


def test_a_row_of_two_tables_is_measured_once(measured):
    tables = {table.title: table for table in paper_tables(measured)}
    assert cells(tables["Table I: detectors"], "ACNet, dual ResNet101")[3] == "22.5"
    third = tables["Table III: levels, with and without DCE"]
    assert cells(third, "L2-L4, DCE")[3] == "22.5"  # Table II (h)
    assert cells(third, "L2-L4, sum")[3] == "20.5"  # Table II (g)
    assert cells(third, "L1-L4, DCE")[3] == NOTHING
    published = "Rashataprucksa et al., ResNet101"  # which nobody trains
    first = cells(tables["Table I: detectors"], published)
    assert first[:4] == [published, "14.7", "+4.4", NOTHING]


def test_table_four_takes_the_rows_of_table_one_and_shows_steps_of_equal_time(tmp_path):
    for config in ("table1/rfcn_r18", "table2/baseline", "table4/ssd_r18"):
        add_record(tmp_path, f"toy/{config}", 1, 30.0, seconds=60)
    rows = choose_rows("toy", tables=[1, 4], forms=["paper"])
    measured = Measured(rows, list(read_records(tmp_path)))
    fourth = paper_tables(measured)[-1]
    assert fourth.header[-4:] == ("GMACs", "steps", "s a step", "seeds")
    assert cells(fourth, "R-FCN, ResNet101, 1000x600")[3:5] == ["30.0", "+0.0"]
    assert cells(fourth, "SSD300, VGG16, 300x300")[-3:] == ["400", "0.50", "1"]
    text = write_reports(measured, "toy", tmp_path, markdown=None).with_name("results.md")
    assert "60 s by the pace of each row, in iterations of 4 images" in text.read_text()


def test_the_tuned_form_has_a_table_of_its_own_over_the_same_baseline(measured):
    tables = {table.title: table for table in paper_tables(measured)}
    table = tables["Table II: parts of ACNet, tuned form"]
    assert cells(table, "(d) CB + DCE")[3:5] == ["22.0", "+9.7"]  # 20 + 2, over 10.3 + 2
    assert cells(table, "(b) CB, as in the paper form")[3] == "17.2"
    assert cells(table, "(h) CB + FRM + DCE + MAMA")[3] == NOTHING  # its tuned twin is not measured


def test_effects_gains_and_forms_by_hand(measured):
    table = effect_table(measured, HEADLINE)
    assert cells(table, "CB, paper form") == ["CB, paper form", *["+5.1"] * 3]
    assert cells(table, "DCE, paper form")[1:] == ["+1.7"] * 3
    assert cells(table, "DCE, tuned form")[1:] == ["+1.7", "+4.8", "+4.8"]  # (d) - (b): 20 - 15.2
    assert table.header == ("part", "paper", "mixed", "colour")
    table = gain_table(measured, HEADLINE)
    assert cells(table, "(c) CB + FRM") == ["(c) CB + FRM", "+5.4", "+5.4"]
    assert cells(table, "(d) CB + DCE, tuned") == ["(d) CB + DCE, tuned", "+9.7", "+9.7"]
    table = form_table(measured, HEADLINE, "tuned")
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["(d) CB + DCE", "+3.8", "+3.8"]  # 20 - 16.2
    ]
    nothing = Measured(choose_rows("toy", tables=[2]), [])
    assert paper_tables(nothing) == []
    for make in (effect_table, gain_table, partial(form_table, form="tuned")):
        assert make(nothing, HEADLINE) is None


def test_the_page_holds_every_table_and_asks_nobody(measured, tmp_path):
    page = write_reports(measured, "toy", tmp_path, markdown=None).read_text()
    titles = re.findall("<h2>(.*)</h2>", page)
    assert titles == [
        "Table I: detectors",
        "Table II: parts of ACNet",
        "Table II: parts of ACNet, tuned form",
        "Table III: levels, with and without DCE",
        "Gain over the baseline: AP50, VOC 2007",
        "What each part adds: AP50, VOC 2007",
        "Gain over the baseline: AP",
        "What each part adds: AP",
        "Tuned form over the paper&#39;s: AP50, VOC 2007",
        "Training curves",
        "How to read this",
    ]
    assert "(h) CB + FRM + DCE + MAMA" in page
    assert "400 iterations of 4 images" in page
    assert not re.search(r'(src|href)="(?!curves\.png|data:)', page)
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    text = (tmp_path / "results.md").read_text()
    assert "| (f) CB + FRM + DCE | 17.9 | +7.6 |" in text
    assert "**+7.6** (+7.6 to +7.6)" in text
    write_reports(measured, "toy", tmp_path / "b", markdown=None)
    for name in ("index.html", "results.md", "curves.png"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_document_keeps_what_stands_around_the_markers(measured, tmp_path):
    document = tmp_path / "docs" / "results.md"
    document.parent.mkdir()
    markers = "<!-- acnet tables toy: begin -->\nof before\n<!-- acnet tables toy: end -->"
    document.write_text(f"# Results\n\n{markers}\n\nThe end.\n")
    for _ in range(2):
        write_reports(measured, "toy", tmp_path, markdown=document)
    text = document.read_text()
    assert text.startswith("# Results\n\n<!-- acnet tables toy: begin -->\n\n- training")
    assert text.endswith("<!-- acnet tables toy: end -->\n\nThe end.\n")
    assert "of before" not in text
    assert "## Table II" in text
    assert "](images/tables_toy.png)" in text
    assert (document.parent / "images" / "tables_toy.png").is_file()
    with pytest.raises(UserError, match=r"voc07: begin -->\n<!-- .*\nAdd them"):
        write_between_markers(document, "voc07", "text")
    assert document.read_text() == text


def test_a_record_of_a_config_that_has_changed_is_refused(tmp_path):
    path = add_record(tmp_path, "toy/table2/cb", 1, 30.0)
    path.write_text(path.read_text().replace('"backbone.out_channels": 256', '"backbone.x": 1'))
    records = list(read_records(tmp_path))
    with pytest.raises(UserError, match=r"the config toy/table2/cb and the record"):
        Measured(choose_rows("toy", names=["toy/table2/cb"]), records)


LINES = {"a": [([20, 40], [3.0, 1.0]), ([20, 40], [4.0, 2.0])], "b": [([20, 40], [2.0, 1.0])]}
APART = {"c": [([20], [3.0]), ([40], [4.0])], **LINES}  # c's trainings have no common iteration


def test_panels_stand_beside_each_other_and_show_the_values(tmp_path):
    def drawn(*panels: dict) -> np.ndarray:
        path = tmp_path / "curves.png"
        draw_panels({(str(place), "loss"): lines for place, lines in enumerate(panels)}, path)
        return cv2.imread(str(path))

    one = drawn(LINES)
    height, width = one.shape[:2]
    assert drawn(LINES, LINES, LINES).shape[:2] == (2 * height, 2 * width)
    assert (one != drawn({"b": LINES["b"], "a": LINES["a"]})).any()
    assert drawn(APART).shape == drawn({}).shape == one.shape
