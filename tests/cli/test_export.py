"""`acnet export`, and predicting with what it wrote."""

import json

import pytest

from acnet.cli import export as command
from acnet.cli.main import main
from acnet.evaluation.count_model import write_count_model
from acnet.export.contents import read_export
from tests.cli.predicting import files_below, predict, read_counts, save_noise
from tests.evaluation.count_models import count_model
from tests.export.models import TILE


def export(*arguments: object) -> int:
    return main(["export", *map(str, arguments)])


def test_a_model_is_exported_and_predicts(tmp_path, small_run, capsys):
    write_count_model(tmp_path / "count.json", count_model(threshold=0.3))
    model = tmp_path / "model.pt2"
    options = ["--tile", TILE, "--batch", 2, "--count-model", tmp_path / "count.json"]
    assert export(small_run, "--output", model, "--soft-nms", "outside", *options) == 0
    assert "2 tiles of 96x96, float32, Soft-NMS outside" in capsys.readouterr().out
    assert read_export(model).settings.name == "model_final.pth, config.yaml"
    save_noise(tmp_path / "photos" / "a.png", 120, 150)
    arguments = [tmp_path / "photos", "--weights", model, "--output", tmp_path / "found", "--json"]
    assert predict(*arguments, "--trust-file", "--tile-batch", 3) == 0
    (one,) = json.loads(capsys.readouterr().out)["photos"]
    assert one["grade"] is not None  # the count model is in the file
    assert "index.html" in files_below(tmp_path / "found")
    assert export(model, "--output", tmp_path / "again.pt2") == 2
    assert "give the weights that were trained" in capsys.readouterr().err


def test_an_onnx_file_predicts_without_being_trusted(tmp_path, exported):
    save_noise(tmp_path / "a.png", 40, 50)
    options = ["--weights", exported(".onnx"), "--output", tmp_path / "found"]
    assert predict(tmp_path / "a.png", *options) == 0
    assert read_counts(tmp_path / "found")[0]["photo"] == "a.png"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "model.pth"], "known by its ending, .onnx or .pt2"),
        (["--output", "model.onnx", "--format", "torch"], "name it model.pt2"),
        (["--output", "model.pt2", "--tile", 100], "whole cells of the deepest"),
        (["--output", "model.onnx", "--precision", "bfloat16"], "hold float32"),
    ],
)
def test_mistakes_of_an_export(tmp_path, monkeypatch, small_run, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(command.NEEDED, ".onnx", ())
    assert export(small_run, *arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(tmp_path, monkeypatch, small_run, capsys):
    monkeypatch.setitem(command.NEEDED, ".onnx", ("onnx_of_another_world",))
    assert export(small_run, "--output", tmp_path / "model.onnx") == 2
    assert "`pip install onnx_of_another_world`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "add --trust-file"),
        (["--trust-file", "--tile-size", 64], "leave it out, or export again with another"),
        (["--trust-file", "--config-file", "toy/acnet_r18"], "holds the config"),
        (["--trust-file", "--attention"], "or an exported file"),
        (["--engine", "onnxruntime"], "choose torch-export for this file"),
    ],
)
def test_mistakes_of_a_prediction(tmp_path, exported, capsys, options, message):
    save_noise(tmp_path / "a.png", 40, 50)
    common = [tmp_path / "a.png", "--weights", exported(".pt2"), "--output", tmp_path / "found"]
    assert predict(*common, *options) == 2
    assert message in capsys.readouterr().err
