"""`acnet export`, and predicting with what it wrote."""

import json
from pathlib import Path

import pytest

from acnet.cli import export as command
from acnet.cli.main import main
from acnet.evaluation.count_model import write_count_model
from acnet.export.contents import read_export
from tests.cli.predicting import files_below, predict, read_counts, save_noise
from tests.evaluation.count_models import count_model
from tests.export.models import TILE, save_run, small_config


def export(*arguments: object) -> int:
    return main(["export", *map(str, arguments)])


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Return weights of a small model, beside their config."""
    return save_run(small_config(), tmp_path_factory.mktemp("run"))


def test_a_model_is_exported_and_predicts(tmp_path, weights, capsys):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extra [export]")
    write_count_model(tmp_path / "count.json", count_model(threshold=0.3))
    model = tmp_path / "model.onnx"
    options = ["--tile", TILE, "--batch", "dynamic", "--count-model", tmp_path / "count.json"]
    assert export(weights, "--output", model, *options) == 0
    assert "any number of tiles of 96x96, float32, Soft-NMS inside" in capsys.readouterr().out
    assert read_export(model).settings.name == "model_final.pth, config.yaml"
    save_noise(tmp_path / "photos" / "a.png", 120, 150)
    arguments = [tmp_path / "photos", "--tile-overlap", 20, "--tile-batch", 2, "--device", "cpu"]
    by_file = [*arguments, "--weights", model, "--output", tmp_path / "found", "--json"]
    assert predict(*by_file) == 0
    (one,) = json.loads(capsys.readouterr().out)["photos"]
    assert one["grade"] is not None  # the count model is in the file
    assert "index.html" in files_below(tmp_path / "found")
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
def test_mistakes_are_named(tmp_path, monkeypatch, weights, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(command.NEEDED, ".onnx", ())
    assert export(weights, *arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(tmp_path, monkeypatch, weights, capsys):
    monkeypatch.setitem(command.NEEDED, ".onnx", ("onnx_of_another_world",))
    assert export(weights, "--output", tmp_path / "model.onnx") == 2
    assert "`pip install onnx_of_another_world`" in capsys.readouterr().err


def test_an_export_is_no_source_of_exports(tmp_path, weights, capsys):
    pt2 = tmp_path / "model.pt2"
    assert export(weights, "--output", pt2, "--tile", TILE, "--soft-nms", "outside") == 0
    assert export(pt2, "--output", tmp_path / "again.pt2") == 2
    assert "give the weights that were trained" in capsys.readouterr().err
    save_noise(tmp_path / "a.png", 40, 50)
    common = [tmp_path / "a.png", "--weights", pt2, "--output", tmp_path / "found"]
    for options, message in (
        ([], "add --trust-file"),
        (["--trust-file", "--tile-size", 64], "leave it out, or export again with another --tile"),
        (["--trust-file", "--config-file", "toy/acnet_r18"], "holds the config"),
        (["--trust-file", "--attention"], "or an exported file"),
        (["--engine", "onnxruntime"], "choose torch-export for this file"),
    ):
        assert predict(*common, *options) == 2
        assert message in capsys.readouterr().err
    assert predict(*common, "--trust-file") == 0
