"""`acnet export`, and predicting with what it wrote."""

import json

import pytest

from acnet.cli import weights as command
from acnet.cli.main import main
from acnet.evaluation.count_model import write_count_model
from acnet.export.metadata import read_export
from tests.cli.predicting import files_below, predict, save_noise
from tests.evaluation.count_models import count_model
from tests.export.models import TILE


def export(*arguments: object) -> int:
    return main(["export", *map(str, arguments)])


def test_a_model_is_exported_and_predicts(tmp_path, small_run, capsys):
    write_count_model(tmp_path / "count.json", count_model(threshold=0.3))
    pytest.importorskip("onnxruntime", reason="needs the extra [export]")
    model = tmp_path / "model.onnx"
    options = ["--tile", TILE, "--batch", 2, "--count-model", tmp_path / "count.json"]
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
