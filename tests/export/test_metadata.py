"""What an exported file says about itself, files that say something else, and engines."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from acnet.checkpoint.bundle import Bundle
from acnet.config import load_config, prediction_config
from acnet.errors import UserError
from acnet.export import metadata
from acnet.export.metadata import EngineKind, ExportSettings, choose_engine, read_export
from acnet.export.onnx_file import metadata_texts
from tests.evaluation.count_models import count_model
from tests.export.models import small_config

SETTINGS = ExportSettings(
    name="model_final.pth, config.yaml",
    tile_px=96,
    batch=0,
    weights_sha256="00",
    versions={"torch": "2.14.1"},
)


def varint(number: int) -> bytes:
    head, rest = number & 0x7F, number >> 7
    return bytes([head | 0x80]) + varint(rest) if rest else bytes([head])


def field(number: int, content: bytes) -> bytes:
    """A protobuf field with a length, as the format's description has it."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def write_onnx(path: Path, texts: dict[str, str]) -> Path:
    """Write an ONNX file without a model: version 10, a graph to be passed over, then texts."""
    entries = [field(1, key.encode()) + field(2, text.encode()) for key, text in texts.items()]
    graph = field(7, b"\x00" * 300)
    path.write_bytes(varint(1 << 3) + varint(10) + graph + b"".join(field(14, e) for e in entries))
    return path


@pytest.fixture(scope="module")
def contents() -> Bundle:
    return Bundle(
        config=prediction_config(small_config(classes=2)),
        class_names=("papule", "Knötchen"),
        count_model=count_model(threshold=0.3),
        card="# A card",
        settings=SETTINGS,
    )


def test_texts_come_back(tmp_path, contents):
    path = write_onnx(tmp_path / "model.onnx", metadata_texts(contents))
    assert read_export(path) == contents
    cfg = load_config(path)  # as any other config
    assert cfg.class_names == ["papule", "Knötchen"]
    assert cfg.model.roi_heads.num_classes == 2
    plain = dataclasses.replace(contents, count_model=None)
    assert read_export(write_onnx(path, metadata_texts(plain))) == plain


def test_programs_without_acnet_learn_how_to_feed_it(contents):
    described = json.loads(metadata_texts(contents)["input"])
    assert described["input_format"] == "BGR"
    assert described["pixel_mean"] == [103.53, 116.28, 123.675]
    assert "(B, 3, 96, 96) uint8" in described["images"]
    assert described["photos"] == {}
    sized = dataclasses.replace(contents, config=contents.config + "photos:\n  size_px: 640\n")
    assert json.loads(metadata_texts(sized)["input"])["photos"] == {"size_px": 640}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "another program made"),
        ({"version": "7"}, "of version '7', where 1 is known"),
        ({"config": None}, "without config"),
        ({"export": None}, "without export"),
        ({"export": "{}"}, "in whose settings batch, name"),
        ({"export": "{"}, "whose export is '{'"),
        ({"export": "[1]"}, r"whose export is '\[1\]'"),
        ({"classes": "[1]"}, "whose classes are a list of 1 values"),
        ({"count_model": "{}"}, "does not say 'format'"),
        ({"config": "model: {_target_: os.system, command: ls}"}, r"names 'os\.system'"),
    ],
)
def test_files_that_say_something_else_are_refused(tmp_path, contents, change, message):
    texts = {**metadata_texts(contents), **change}
    texts = {name: text for name, text in texts.items() if text is not None}
    path = write_onnx(tmp_path / "model.onnx", texts)
    with pytest.raises(UserError, match=message):
        load_config(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tile_px": "96"}, "tile_px is '96'"),
        ({"batch": True}, "batch is 'True'"),
        ({"versions": []}, r"versions is '\[\]'"),
        ({"tile_px": 0}, "tiles of 0 pixels"),
        ({"tile_px": 10**9}, "tiles of 1000000000 pixels, where 1 to"),
        ({"batch": -1}, "-1 tiles of 96 pixels at once"),
        ({"batch": 10**6}, "1000000 tiles of 96 pixels at once"),
        ({"tile_px": 4096, "batch": 1000}, "too much for any machine"),
        ({"soft_nms": "outside", "decay": {}}, "an earlier version made without Soft-NMS"),
        ({"soft_nms": "inside", "precision": "bfloat16"}, "or in bfloat16"),
    ],
)
def test_settings_are_checked(tmp_path, contents, change, message):
    settings = {**dataclasses.asdict(contents.settings), **change}
    texts = {**metadata_texts(contents), "export": json.dumps(settings)}
    with pytest.raises(UserError, match=message):
        read_export(write_onnx(tmp_path / "model.onnx", texts))


def test_files_of_an_earlier_version_are_read(tmp_path, contents):
    settings = dataclasses.asdict(contents.settings)
    settings |= {"soft_nms": "inside", "decay": {"method": "linear"}, "precision": "float32"}
    texts = {**metadata_texts(contents), "export": json.dumps(settings)}
    assert read_export(write_onnx(tmp_path / "model.onnx", texts)) == contents


HOSTILE = {
    "millions of fields": varint(1 << 3) * 2 + b"\x08\x00" * 20_000,
    "millions of fields in a text": field(14, b"\x18\x00" * 20_000),
    "a length beyond the end": varint(14 << 3 | 2) + varint(1 << 60) + b"x",
    "a number without an end": b"\xff" * 100,
    "a text that is no UTF-8": field(14, field(1, b"\xff\xfe") + field(2, b"x")),
    "texts without an end": field(14, field(1, b"k") + field(2, b"x" * (1 << 22))) * 5,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_end_in_one_line(tmp_path, name):
    path = tmp_path / "model.onnx"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(UserError, match=r"An ONNX file holds a model .*copy it again"):
        read_export(path)


def test_damaged_files_are_refused(tmp_path, contents):
    path = tmp_path / "model.onnx"
    with pytest.raises(UserError, match="No such file"):
        read_export(path)
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(UserError, match="it is no file"):
        read_export(tmp_path / "pipe.onnx")
    whole = write_onnx(path, metadata_texts(contents)).read_bytes()
    for start in (whole[: len(whole) // 2], whole[:-3], b"\xff" * 40, b"", b"PK\x03\x04rest"):
        path.write_bytes(start)
        with pytest.raises(UserError, match=r"Received .*model"):
            read_export(path)


def test_it_is_read_without_torch(tmp_path, contents, run_code):
    plain = dataclasses.replace(contents, count_model=None)
    path = write_onnx(tmp_path / "model.onnx", metadata_texts(plain))
    code = f"from acnet.export.metadata import read_export; read_export({str(path)!r})"
    assert not {"torch", "detectron2", "omegaconf", "onnx"} & run_code(code)[1]


@pytest.fixture
def all_installed(monkeypatch):
    monkeypatch.setattr(metadata, "find_spec", lambda package: object())


@pytest.mark.usefixtures("all_installed")
def test_the_file_chooses():
    assert choose_engine("auto", "model_final.pth") == "eager"
    assert choose_engine("auto", "model.safetensors") == "eager"
    assert choose_engine("auto", "model.onnx") == "onnxruntime"
    assert choose_engine("openvino", "model.onnx") == "openvino"


@pytest.mark.usefixtures("all_installed")
@pytest.mark.parametrize(
    ("engine", "weights", "message"),
    [
        ("tensorrt", "model.onnx", "one of auto, eager, onnxruntime"),
        ("onnxruntime", "model.pth", "acnet export model.pth --output model.onnx` first"),
        ("eager", "model.onnx", "runs the model itself, .* choose onnxruntime or openvino for"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(engine, weights, message):
    with pytest.raises(UserError, match=message):
        choose_engine(engine, weights)


def test_an_engine_that_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(metadata, "find_spec", lambda package: None)
    with pytest.raises(UserError, match=r"`pip install openvino`, or acnet with its extra \[openv"):
        choose_engine("openvino", "model.onnx")
    assert not EngineKind(suffix=None, package="torch").is_installed
