"""`acnet calibrate` as a user runs it on saved files."""

import json

import numpy as np
import pytest
from PIL import Image

from acnet.cli import calibrate
from acnet.cli.main import main
from acnet.evaluation import count_model
from acnet.evaluation.count_model import read_count_model
from acnet.photos.results import photo_traits
from tests.cli.evaluation_files import save_as_predict_does, save_set


def run(*arguments) -> int:
    return main(["calibrate", *map(str, arguments)])


def test_fits_writes_and_says_how_well_it_counts(tmp_path, capsys):
    saved = save_set(tmp_path, 40, seed=0)
    output = tmp_path / "new" / "count.json"
    assert run(*saved, "--merge", "soft_nms-linear", "--output", output, "--coverage", 0.8) == 0
    model = read_count_model(output)
    assert (model.merge, model.coverage, model.seed) == ("soft_nms-linear", 0.8, 0)
    assert (model.fit_photos, model.interval_photos) == (20, 20)
    shown = capsys.readouterr().out
    assert f"score {model.threshold:.4f} or more counts (soft_nms-linear)" in shown
    low, high = model.interval([20])
    assert f"20 is {low[0]} to {high[0]}" in shown
    assert "80% intervals" in shown
    assert "calibration error" in shown
    assert model.probability.method in ("isotonic", "Platt")
    assert "lesions of unknown kind, unknown view: no grades" in shown


def test_the_seed_chooses_the_halves(tmp_path):
    saved = save_set(tmp_path, 40, seed=0)
    models = []
    for seed in (0, 0, 1):
        output = tmp_path / "count.json"
        run(*saved, "--merge", "x", "--output", output, "--seed", seed)
        models.append(output.read_bytes())
    assert models[0] == models[1] != models[2]


def test_predictions_of_acnet_predict_are_matched_by_name(tmp_path):
    by_id, by_name = tmp_path / "id.json", tmp_path / "name.json"
    run(*save_set(tmp_path / "a", 30, seed=0), "--merge", "nms", "--output", by_id)
    run(*save_as_predict_does(tmp_path / "b", 30, seed=0), "--output", by_name)
    assert by_id.read_bytes() == by_name.read_bytes()
    assert read_count_model(by_name).merge == "nms"  # as their images.json says


def test_what_cannot_be_fitted_is_refused_and_nothing_written(tmp_path, capsys):
    output = tmp_path / "count.json"
    clustered = save_as_predict_does(tmp_path / "a", 30, seed=0, merge="cluster")
    for saved, options, fault in (
        (save_set(tmp_path / "b", 30, seed=0), [], "add --merge NAME"),
        (clustered, ["--merge", "nms"], "merged by 'cluster'"),
        (save_set(tmp_path / "c", 10, seed=0), ["--merge", "x"], "at least 17 validation photos"),
    ):
        assert run(*saved, *options, "--output", output) == 2
        assert fault in capsys.readouterr().err
        assert not output.exists()


@pytest.mark.parametrize("options", [["--coverage", "1"], ["--coverage", "0"], ["--merge", " "]])
def test_impossible_options_are_refused_at_once(options, capsys):
    with pytest.raises(SystemExit):
        run("gt.json", "predictions.json", "--merge", "x", "--output", "y", *options)
    assert "received" in capsys.readouterr().err


def test_the_output_replaces_no_input_and_no_other_file(tmp_path, capsys):
    saved = save_set(tmp_path, 40, seed=0)
    (tmp_path / "notes.json").write_text("mine")
    for path, fault in (
        (saved[0], "an input"),
        (tmp_path / "notes.json", "something else"),
        (tmp_path, "a folder"),
    ):
        assert run(*saved, "--merge", "nms", "--output", path) == 2
        assert fault in capsys.readouterr().err
    assert (tmp_path / "notes.json").read_text() == "mine"
    assert saved[0].stat().st_size > 1000


def test_the_choices_are_those_of_the_count_model():
    assert (calibrate.VIEWS, calibrate.LESIONS) == (count_model.VIEWS, count_model.LESIONS)


def test_what_photos_show_is_stored_and_decides_about_grades(tmp_path, capsys):
    output = tmp_path / "count.json"
    options = ["--merge", "nms", "--view", "half face", "--lesions", "inflammatory"]
    assert run(*save_set(tmp_path, 30, seed=0), *options, "--output", output) == 0
    assert "photos get Hayashi's grade" in capsys.readouterr().out
    assert read_count_model(output).has_grade


def test_photos_themselves_say_which_others_get_a_count(tmp_path, capsys):
    truth, predictions = save_set(tmp_path, 30, seed=0)
    rng = np.random.default_rng(0)
    for image in json.loads(truth.read_text())["images"]:
        path = tmp_path / "photos" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(90, 130, (8, 9, 3), np.uint8)).save(path)
    output = tmp_path / "count.json"
    options = ["--merge", "nms", "--image-root", tmp_path / "photos"]
    assert run(truth, predictions, *options, "--output", output) == 0
    assert "photos unlike these get none" in capsys.readouterr().out
    domain = read_count_model(output).domain
    assert not domain.has(photo_traits(np.zeros((8, 9, 3), np.uint8)))
    path.unlink()
    assert run(truth, predictions, *options, "--output", tmp_path / "other.json") == 2
    assert path.name in capsys.readouterr().err
