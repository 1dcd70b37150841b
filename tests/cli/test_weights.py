"""`acnet weights` and `acnet export`: packing a model, and predicting with the one file."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from acnet.checkpoint import bundle as bundles
from acnet.checkpoint.bundle import halve, read_bundle, tensor_summary
from acnet.cli import weights as command
from acnet.cli.main import main
from acnet.evaluation.count_model import write_count_model
from acnet.export.metadata import read_export
from acnet.inference import load
from tests.cli.predicting import SECRET, files_below, predict, save_noise
from tests.evaluation.count_models import count_model as a_count_model
from tests.export.models import TILE
from tests.photos.bright_square import photo


@pytest.fixture
def run_dir(weights) -> Path:
    """Return the folder of a training of random weights."""
    return weights.parent


@pytest.fixture
def packed(tmp_path, run_dir) -> Path:
    """Return the one file of that training."""
    assert run("pack", run_dir, tmp_path / "packed.safetensors") == 0
    return tmp_path / "packed.safetensors"


@pytest.fixture
def count_model(tmp_path) -> Path:
    model = a_count_model(threshold=0.3)
    write_count_model(tmp_path / "count.json", model)
    return tmp_path / "count.json"


@pytest.fixture
def picture(tmp_path) -> Path:
    photo(size_wh=(96, 64)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def run(*arguments: object) -> int:
    return main(["weights", *map(str, arguments)])


def test_a_packed_model_answers_as_before(run_dir, packed, picture):
    before = load(run_dir / "model_final.pth", config=run_dir / "config.yaml")
    after = load(packed)
    assert after.class_names == before.class_names == ["acne"]
    expected, found = before(picture), after(picture)
    assert len(expected) > 0
    torch.testing.assert_close(found.pred_boxes.tensor, expected.pred_boxes.tensor)
    torch.testing.assert_close(found.scores, expected.scores)


def test_half_is_half_the_size_and_nearly_the_same(tmp_path, run_dir, packed, picture):
    half = tmp_path / "half.safetensors"
    run("pack", run_dir, half, "--half")
    assert half.stat().st_size / packed.stat().st_size == pytest.approx(0.5, abs=0.01)
    assert set(tensor_summary(half)) == {"F16", "I64"}
    best = [load(path)(picture).scores.max() for path in (packed, half)]
    assert best[0].item() == pytest.approx(best[1].item(), abs=0.01)


def test_numbers_that_float16_cannot_hold_stay_float32():
    state = {"large": torch.tensor([1e6]), "small": torch.tensor([0.5]), "count": torch.tensor(3)}
    kinds = {name: tensor.dtype for name, tensor in halve(state).items()}
    assert kinds == {"large": torch.float32, "small": torch.float16, "count": torch.int64}


def test_the_file_holds_the_model_its_card_and_nothing_else_of_the_training(run_dir, packed):
    assert SECRET in (run_dir / "config.yaml").read_text()
    content = packed.read_bytes()
    for word in (SECRET, "secret", str(run_dir), "optimizer", "toy_trainval"):
        assert word.encode() not in content, word
    card = read_bundle(packed).card
    assert "parameters: 7,976,377, stored in float32" in card
    assert "Not a medical device" in card


def test_predict_needs_one_file_and_takes_its_count_model(
    tmp_path, run_dir, picture, count_model, capsys
):
    bundle = tmp_path / "model.safetensors"
    run("pack", run_dir, bundle, "--count-model", count_model)
    capsys.readouterr()
    words = ["--weights", str(bundle), "--output", str(tmp_path / "out"), "--json"]
    assert main(["predict", str(picture), *words]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["threshold"] == 0.3
    (found,) = document["photos"]
    assert found["low"] <= found["count"] <= found["high"]
    assert found["grade"] in range(4)
    # A threshold of one's own is not the fitted one, so it says neither interval nor grade.
    assert main(["predict", str(picture), *words, "--score-threshold", "0.4"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["photos"]
    assert found["low"] is found["high"] is found["grade"] is None


def test_a_count_model_for_another_merging_is_refused(tmp_path, run_dir, picture, capsys):
    bundle, counting = tmp_path / "model.safetensors", tmp_path / "count.json"
    write_count_model(counting, dataclasses.replace(a_count_model(threshold=0.3), merge="cluster"))
    run("pack", run_dir, bundle, "--count-model", counting)
    words = ["--weights", str(bundle), "--output", str(tmp_path / "out")]
    assert main(["predict", str(picture), *words]) == 2
    assert "fitted to 'cluster', where 'nms' is used" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_show_says_what_is_inside(tmp_path, run_dir, count_model, capsys):
    bundle = tmp_path / "model.safetensors"
    card = tmp_path / "card.md"
    card.write_text("# Made in a test\n")
    options = ["--count-model", count_model, "--card", card, "--classes", "pimple"]
    run("pack", run_dir, bundle, *options)
    capsys.readouterr()
    assert run("show", bundle) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("# Made in a test\n\nclasses:     pimple\n")
    assert '"threshold": 0.3' in shown
    assert run("show", bundle, "--json") == 0
    assert json.loads(capsys.readouterr().out)["classes"] == ["pimple"]
    assert run("show", bundle, "--config") == 0
    assert capsys.readouterr().out == read_bundle(bundle).config


def test_list_names_the_bundled_ones_or_says_that_there_are_none(capsys, monkeypatch):
    assert run("list") == 0
    assert capsys.readouterr().out.startswith("acnet-r18-demo\t")
    monkeypatch.setattr(bundles, "FOLDERS", ())
    assert run("list") == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "none are bundled" in shown.err


@pytest.mark.parametrize(
    ("mistake", "remedy"),
    [
        ("folder", "give the path of a checkpoint."),
        ("ending", "name it model.safetensors."),
        ("classes", "give 1."),
        ("card", "Give another file."),
    ],
)
def test_mistakes_end_with_their_remedy(tmp_path, run_dir, mistake, remedy, capsys):
    output = tmp_path / ("model.bin" if mistake == "ending" else "model.safetensors")
    source = tmp_path if mistake == "folder" else run_dir
    more = {"classes": ["--classes", "a", "b"], "card": ["--card", tmp_path / "none.md"]}
    assert run("pack", source, output, *more.get(mistake, [])) == 2
    assert capsys.readouterr().err.rstrip().endswith(remedy)
    assert not output.exists()


def export(*arguments: object) -> int:
    return main(["export", *map(str, arguments)])


def test_a_model_is_exported_and_predicts(tmp_path, small_run, count_model, capsys):
    pytest.importorskip("onnxruntime", reason="needs the extra [export]")
    model = tmp_path / "model.onnx"
    options = ["--tile", TILE, "--batch", 2, "--count-model", count_model]
    assert export(small_run, "--output", model, *options) == 0
    assert "2 tiles of 96x96" in capsys.readouterr().out
    assert read_export(model).settings.name == "model_final.pth, config.yaml"
    save_noise(tmp_path / "photos" / "a.png", 120, 150)
    arguments = [tmp_path / "photos", "--weights", model, "--output", tmp_path / "found", "--json"]
    assert predict(*arguments, "--tile-batch", 3) == 0, capsys.readouterr().err
    (one,) = json.loads(capsys.readouterr().out)["photos"]
    assert one["grade"] is not None  # the count model is in the file
    assert "index.html" in files_below(tmp_path / "found")
    assert export(model, "--output", tmp_path / "again.onnx") == 2
    assert "give the weights that were trained" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "model.pt2"], "known by its ending, .onnx. Received --output model.pt2"),
        (["--output", "model.onnx", "--tile", 100], "whole cells of the deepest"),
        (["--output", "model.onnx", "--tile", 10**6], "where 1 to 8192 are possible"),
    ],
)
def test_mistakes_of_an_export(tmp_path, monkeypatch, small_run, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "EXPORT_PACKAGES", ())
    assert export(small_run, *arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(tmp_path, monkeypatch, small_run, capsys):
    monkeypatch.setattr(command, "EXPORT_PACKAGES", ("onnx_of_another_world",))
    assert export(small_run, "--output", tmp_path / "model.onnx") == 2
    assert "`pip install onnx_of_another_world`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tile-size", 64], "leave it out, or export again with another"),
        (["--config-file", "toy/acnet_r18"], "holds the config"),
        (["--attention"], "or an exported file"),
        (["--engine", "eager"], "choose onnxruntime or openvino for this file"),
    ],
)
def test_mistakes_of_a_prediction(tmp_path, exported, capsys, options, message):
    save_noise(tmp_path / "a.png", 40, 50)
    common = [tmp_path / "a.png", "--weights", exported(), "--output", tmp_path / "found"]
    assert predict(*common, *options) == 2
    assert message in capsys.readouterr().err
