"""Which engine runs which file."""

import pytest

from acnet.errors import UserError
from acnet.export import engine_names
from acnet.export.engine_names import EngineKind, choose_engine


@pytest.fixture(autouse=True)
def _all_installed(monkeypatch):
    monkeypatch.setattr(engine_names, "find_spec", lambda package: object())


def test_the_file_chooses():
    assert choose_engine("auto", "model_final.pth") == "eager"
    assert choose_engine("auto", "model.safetensors") == "eager"
    assert choose_engine("auto", "model.onnx") == "onnxruntime"
    assert choose_engine("auto", "model.pt2") == "torch-export"
    assert choose_engine("openvino", "model.onnx") == "openvino"


@pytest.mark.parametrize(
    ("engine", "weights", "message"),
    [
        ("tensorrt", "model.onnx", "one of auto, eager, onnxruntime"),
        ("onnxruntime", "model.pth", "acnet export model.pth --output model.onnx` first"),
        ("torch-export", "model.onnx", "choose onnxruntime or openvino for this file"),
        ("eager", "model.onnx", "runs the model itself, from a checkpoint or bundle"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(engine, weights, message):
    with pytest.raises(UserError, match=message):
        choose_engine(engine, weights)


def test_an_engine_that_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(engine_names, "find_spec", lambda package: None)
    with pytest.raises(UserError, match=r"`pip install openvino`, or acnet with its extra \[openv"):
        choose_engine("openvino", "model.onnx")
    assert not EngineKind(suffix=None, package="torch").is_installed
