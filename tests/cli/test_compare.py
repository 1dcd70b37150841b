"""`acnet compare` as a user runs it on saved files."""

from pathlib import Path

import pytest

from acnet.cli.main import main
from tests.cli.evaluation_files import read, save, save_as_predict_does, save_set
from tests.evaluation.coco_content import images_of, write
from tests.evaluation.simulated import simulate

FEW = ("--replicates", "40")


def run(*arguments) -> int:
    return main(["compare", *map(str, arguments)])


@pytest.fixture
def saved(tmp_path) -> tuple[Path, Path, Path]:
    """Return ground truth of 25 photos, predictions, and those of a more skilful model."""
    truth, a = simulate(25, seed=0)
    _, b = simulate(25, seed=0, skill=2.0)
    path, path_a = save(tmp_path / "a", truth, a)
    return path, path_a, save(tmp_path / "b", truth, b)[1]


def test_the_better_model_is_named(saved, capsys):
    assert run(*saved, *FEW) == 0
    shown = capsys.readouterr().out
    assert f"A: {saved[1]}\nB: {saved[2]}\n25 photos, " in shown
    assert "without a detection" not in shown
    assert "40 replicates, seed 0" in shown
    line = next(line for line in shown.splitlines() if line.startswith("AP50@1000"))
    assert line.split()[-1] == "B"


def test_the_json_has_the_same_numbers(saved, tmp_path, capsys):
    output = tmp_path / "difference.json"
    assert run(*saved, *FEW, "--json", output, "--quiet") == 0
    assert capsys.readouterr().out == ""
    content = read(output)
    row = next(row for row in content["differences"] if row["key"] == "AP50@1000")
    assert row["difference"] == pytest.approx(row["b"] - row["a"])
    assert row["low"] <= row["difference"] <= row["high"]
    assert (content["photos"], content["replicates"]) == (25, 40)


def test_counts_are_compared_with_two_count_models(saved, tmp_path, capsys):
    validation = save_set(tmp_path / "val", 30, seed=1)
    model = tmp_path / "count.json"
    main(["calibrate", *map(str, validation), "--merge", "x", "--output", str(model)])
    assert run(*saved, *FEW, "--count-models", model, model) == 0
    assert "quadratic kappa" in capsys.readouterr().out


def test_photos_without_a_detection_are_said(saved, tmp_path, capsys):
    assert run(saved[0], saved[1], write(tmp_path / "none.json", []), *FEW) == 0
    assert "none.json, 25 photos without a detection\n" in capsys.readouterr().out


def test_predictions_of_other_photos_are_refused(saved, tmp_path, capsys):
    _, other = save_set(tmp_path / "other", 26, seed=1)  # one photo more, with an id of its own
    assert run(saved[0], saved[1], other) == 2
    assert "image_id" in capsys.readouterr().err
    _, predictions = save_as_predict_does(tmp_path / "c", 25, seed=0)
    names = [f"other{index}.jpg" for index in range(25)]
    content = {"images": images_of(names), "categories": [{"id": 1, "name": "acne"}]}
    write(predictions.with_name("images.json"), content)
    assert run(saved[0], saved[1], predictions) == 2
    assert "25 of 25 photos are missing" in capsys.readouterr().err
