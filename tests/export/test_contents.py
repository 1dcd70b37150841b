"""What an exported file says about itself, and files that say something else."""

import dataclasses
import json
import zipfile
from pathlib import Path

import pytest

from acnet.checkpoint.bundle import Bundle
from acnet.checkpoint.pack import prediction_config
from acnet.config import load_config
from acnet.errors import UserError
from acnet.export.contents import ExportContents, ExportSettings, export_config, read_export
from tests.evaluation.count_models import count_model
from tests.export.models import small_config

SETTINGS = ExportSettings(
    name="model_final.pth, config.yaml",
    tile_px=96,
    batch=0,
    soft_nms="inside",
    decay={"method": "linear", "max_detections": 20},
    precision="float32",
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


def write_pt2(path: Path, texts: dict[str, str]) -> Path:
    """Write an archive without a program."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/archive_version", "0")
        archive.writestr("model/extra/acnet.json", json.dumps(texts))
    return path


WRITERS = {".onnx": write_onnx, ".pt2": write_pt2}


@pytest.fixture(scope="module")
def contents() -> ExportContents:
    cfg = small_config(classes=2)
    bundle = Bundle(
        config=prediction_config(cfg),
        class_names=("papule", "Knötchen"),
        count_model=count_model(threshold=0.3),
        card="# A card",
    )
    return ExportContents(bundle=bundle, settings=SETTINGS)


@pytest.mark.parametrize("suffix", WRITERS)
def test_texts_come_back(tmp_path, contents, suffix):
    path = WRITERS[suffix](tmp_path / f"model{suffix}", contents.to_texts())
    assert read_export(path) == contents
    cfg = load_config(path)  # as any other config
    assert cfg == export_config(path)
    assert cfg.class_names == ["papule", "Knötchen"]
    assert cfg.model.roi_heads.num_classes == 2


def test_programs_without_acnet_learn_how_to_feed_it(contents):
    described = json.loads(contents.to_texts()["input"])
    assert described["input_format"] == "BGR"
    assert described["pixel_mean"] == [103.53, 116.28, 123.675]
    assert "(B, 3, 96, 96) uint8" in described["images"]


def test_without_a_count_model(tmp_path, contents):
    bundle = dataclasses.replace(contents.bundle, count_model=None)
    plain = dataclasses.replace(contents, bundle=bundle)
    path = write_onnx(tmp_path / "model.onnx", plain.to_texts())
    assert read_export(path).bundle.count_model is None


FAULTS = {
    "another program": ({"format": "other"}, "another program made"),
    "another version": ({"version": "7"}, "of version '7', where 1 is known"),
    "no config": ({"config": None}, "without config"),
    "no settings": ({"export": "{}"}, "in whose settings batch, decay, name"),
    "settings that are no JSON": ({"export": "{"}, "whose export is '{'"),
    "classes that are no names": ({"classes": "[1]"}, r"whose classes is '\[1\]'"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("suffix", WRITERS)
def test_files_that_say_something_else_are_refused(tmp_path, contents, suffix, fault):
    change, message = FAULTS[fault]
    texts = {**contents.to_texts(), **change}
    texts = {name: text for name, text in texts.items() if text is not None}
    path = WRITERS[suffix](tmp_path / f"model{suffix}", texts)
    with pytest.raises(UserError, match=message):
        read_export(path)


@pytest.mark.parametrize("change", [{"tile_px": "96"}, {"tile_px": 0}, {"soft_nms": "maybe"}])
def test_settings_are_checked(tmp_path, contents, change):
    settings = dataclasses.replace(contents.settings, **change)
    texts = dataclasses.replace(contents, settings=settings).to_texts
    path = write_pt2(tmp_path / "model.pt2", {**texts(), "input": ""})
    with pytest.raises(UserError, match="in whose settings"):
        read_export(path)


@pytest.mark.parametrize("suffix", WRITERS)
def test_damaged_files_are_refused(tmp_path, contents, suffix):
    path = tmp_path / f"model{suffix}"
    with pytest.raises(UserError, match="No such file"):
        read_export(path)
    whole = WRITERS[suffix](path, contents.to_texts()).read_bytes()
    for start in (whole[: len(whole) // 2], whole[:-3], b"\xff" * 40, b"", b"PK\x03\x04rest"):
        path.write_bytes(start)
        with pytest.raises(UserError, match=r"Received .*model"):
            read_export(path)


def test_a_config_that_would_run_a_program_is_refused(tmp_path, contents):
    config = "model: {_target_: os.system, command: ls, input_format: BGR}\n"
    texts = {**contents.to_texts(), "config": config}
    with pytest.raises(UserError, match=r"names 'os\.system'"):
        export_config(write_onnx(tmp_path / "model.onnx", texts))
