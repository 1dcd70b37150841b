"""`acnet evaluate` as a user runs it on saved files."""

import json
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from acnet.cli.main import main
from tests.cli.evaluation_files import read, save_as_predict_does, save_set

FEW = ("--replicates", "20")


def run(*arguments) -> int:
    return main(["evaluate", *map(str, arguments)])


@pytest.fixture
def saved(tmp_path) -> tuple[Path, Path]:
    """Return ground truth and predictions of 15 photos."""
    return save_set(tmp_path, 15, seed=0)


@pytest.fixture
def count_model(tmp_path) -> Path:
    """Return a count model that was fitted to 40 other photos."""
    validation = save_set(tmp_path / "val", 40, seed=1)
    output = tmp_path / "count.json"
    command = ["calibrate", *validation, "--merge", "soft_nms-linear", "--output", output]
    assert main(list(map(str, command))) == 0
    return output


def test_a_table_with_intervals(saved, capsys):
    assert run(*saved, *FEW) == 0
    shown = capsys.readouterr().out
    assert "15 photos, " in shown
    assert "20 bootstrap replicates" in shown
    assert "with fewer than 100 photos, intervals are too narrow" in shown
    line = next(line for line in shown.splitlines() if line.startswith("AP50@1000"))
    _, value, unit, low, to, high = line.split()
    assert (unit, to) == ("%", "to")
    assert float(low) <= float(value) <= float(high)
    assert "FROC" in shown
    assert "16-32px" in shown
    assert "MAE" not in shown


def test_counts_and_grades_with_a_count_model(saved, count_model, capsys):
    capsys.readouterr()
    assert run(*saved, *FEW, "--count-model", count_model) == 0
    shown = capsys.readouterr().out
    assert "MAE" in shown
    assert "fitted for soft_nms-linear" in shown
    assert "90% intervals hold the true count in" in shown
    assert "true \\ predicted" in shown


def test_the_json_has_the_numbers_of_the_table(saved, tmp_path, capsys):
    output = tmp_path / "new" / "numbers.json"
    assert run(*saved, *FEW, "--json", output, "--seed", 3, "--max-detections", 300) == 0
    content = read(output)
    assert content["options"]["seed"] == 3
    metric = next(row for row in content["metrics"] if row["key"] == "AP50@300")
    assert f"{metric['value']:.1f}" in capsys.readouterr().out
    assert content["counts"] is None


def test_json_alone_is_one_document_on_stdout(saved, capsys):
    assert run(*saved, *FEW, "--json") == 0
    assert json.loads(capsys.readouterr().out)["data"]["photos"] == 15


@pytest.mark.parametrize(("option", "name"), [("--json", "notes.json"), ("--report", "index.html")])
def test_outputs_replace_what_the_command_wrote_and_nothing_else(
    saved, tmp_path, option, name, capfd
):
    mine = tmp_path / name
    mine.write_text("mine")
    target = mine if option == "--json" else tmp_path
    assert run(*saved, *FEW, option, target) == 2
    assert f"Received {option} {mine}, which holds something else" in capfd.readouterr().err
    assert mine.read_text() == "mine"
    mine.unlink()
    for _ in range(2):
        assert run(*saved, *FEW, "--quiet", option, target) == 0
        shown = capfd.readouterr()
        assert shown.out == shown.err == ""
        assert mine.is_file()


def test_predictions_of_acnet_predict_are_matched_by_name(tmp_path, capsys):
    run(*save_set(tmp_path / "a", 15, seed=0), *FEW)
    by_id = capsys.readouterr().out
    run(*save_as_predict_does(tmp_path / "b", 15, seed=0), *FEW)
    assert capsys.readouterr().out == by_id


def test_a_count_model_of_another_merging_is_refused(tmp_path, count_model, capsys):
    saved = save_as_predict_does(tmp_path / "b", 15, seed=0, merge="cluster")
    assert run(*saved, *FEW, "--count-model", count_model) == 2
    assert "where 'cluster' is used" in capsys.readouterr().err


@pytest.mark.parametrize("with_photos", [False, True])
def test_the_report_gets_photos_only_when_asked(saved, tmp_path, capsys, monkeypatch, with_photos):
    report = Mock(**{"write_report.return_value": tmp_path / "report" / "index.html"})
    monkeypatch.setitem(sys.modules, "acnet.visualization.report", report)
    photos = ["--with-photos", "--image-root", tmp_path] if with_photos else []
    assert run(*saved, *FEW, "--report", tmp_path / "report", *photos) == 0
    ((folder, result), options) = report.write_report.call_args
    assert (folder, result.ground_truth.num_photos) == (tmp_path / "report", 15)
    assert options.get("photos_root") == (tmp_path if with_photos else None)
    assert f"report: {tmp_path / 'report' / 'index.html'}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("gt.json predictions.json --with-photos", "add --report DIR"),
        ("gt.json predictions.json --with-photos --report x", "go together"),
        ("gt.json predictions.json --image-root x --report x", "go together"),
        ("gt.json predictions.json --image-root no --with-photos --report x", "no, which is no"),
        ("gt.json predictions.json --count-model gt.json", "which does not say 'format'"),
        ("gt.json predictions.json --json gt.json", "gt.json, which is an input of this command"),
        ("gt.json predictions.json --json predictions.json", "predictions.json, which is an input"),
        ("no.json predictions.json", "no.json"),
        ("gt.json none.json", "none.json"),
    ],
)
def test_mistakes_are_named_and_leave_the_inputs_alone(
    saved, tmp_path, monkeypatch, words, fault, capsys
):
    monkeypatch.chdir(tmp_path)
    before = [path.read_bytes() for path in saved]
    assert run(*words.split()) == 2
    assert fault in capsys.readouterr().err
    assert [path.read_bytes() for path in saved] == before
