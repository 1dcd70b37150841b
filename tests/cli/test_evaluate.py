"""`acnet evaluate` and `acnet compare` as a user runs them on saved files."""

import json
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from acnet.cli.main import main
from tests.cli.evaluation_files import read, save, save_as_predict_does, save_set
from tests.evaluation.coco_content import images_of, write
from tests.evaluation.simulated import simulate

FEW = ("--replicates", "40")


def run(*arguments) -> int:
    return main(["evaluate", *map(str, arguments)])


def compare(*arguments) -> int:
    return main(["compare", *map(str, arguments)])


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
    assert "40 bootstrap replicates" in shown
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


@pytest.mark.parametrize(
    ("option", "name"),
    [("--json", "notes.json"), ("--report", "index.html"), ("--report", "results.json")],
)
def test_outputs_replace_what_the_command_wrote_and_nothing_else(
    saved, tmp_path, option, name, capfd
):
    mine = tmp_path / name
    target = mine if option == "--json" else tmp_path
    for text in ("mine", json.dumps({"schema_version": "2.1", "precious": 1}, indent=2)):
        mine.write_text(text)
        assert run(*saved, *FEW, option, target) == 2
        assert f"Received {option} {mine}, which holds something else" in capfd.readouterr().err
        assert mine.read_text() == text
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


@pytest.fixture
def models(tmp_path) -> tuple[Path, Path, Path]:
    """Return ground truth of 25 photos, predictions, and those of a more skilful model."""
    truth, a = simulate(25, seed=0)
    _, b = simulate(25, seed=0, skill=2.0)
    path, path_a = save(tmp_path / "a", truth, a)
    return path, path_a, save(tmp_path / "b", truth, b)[1]


def test_the_better_model_is_named_and_the_json_has_the_same_numbers(models, tmp_path, capsys):
    output = tmp_path / "difference.json"
    assert compare(*models, *FEW, "--quiet", "--json", output) == 0
    assert compare(*models, *FEW, "--json", output) == 0  # which it knows again
    shown = capsys.readouterr().out
    assert f"A: {models[1]}\nB: {models[2]}\n25 photos, " in shown
    assert "without a detection" not in shown
    assert "40 replicates, seed 0" in shown
    line = next(line for line in shown.splitlines() if line.startswith("AP50@1000"))
    assert line.split()[-1] == "B"
    content = read(output)
    row = next(row for row in content["differences"] if row["key"] == "AP50@1000")
    assert row["difference"] == pytest.approx(row["b"] - row["a"])
    assert row["low"] <= row["difference"] <= row["high"]
    assert (content["photos"], content["replicates"]) == (25, 40)


def test_counts_are_compared_with_two_count_models(models, tmp_path, capsys):
    validation = save_set(tmp_path / "val", 30, seed=1)
    model = tmp_path / "count.json"
    main(["calibrate", *map(str, validation), "--merge", "x", "--output", str(model)])
    assert compare(*models, *FEW, "--count-models", model, model) == 0
    assert "quadratic kappa" in capsys.readouterr().out


def test_photos_without_a_detection_are_said(models, tmp_path, capsys):
    assert compare(models[0], models[1], write(tmp_path / "none.json", []), *FEW) == 0
    assert "none.json, 25 photos without a detection\n" in capsys.readouterr().out


def test_predictions_of_other_photos_are_refused(models, tmp_path, capsys):
    _, other = save_set(tmp_path / "other", 26, seed=1)  # one photo more, with an id of its own
    assert compare(models[0], models[1], other) == 2
    assert "image_id" in capsys.readouterr().err
    _, predictions = save_as_predict_does(tmp_path / "c", 25, seed=0)
    names = [f"other{index}.jpg" for index in range(25)]
    content = {"images": images_of(names), "categories": [{"id": 1, "name": "acne"}]}
    write(predictions.with_name("images.json"), content)
    assert compare(models[0], models[1], predictions) == 2
    assert "25 of 25 photos are missing" in capsys.readouterr().err
