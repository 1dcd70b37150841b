"""Bundles: weights that carry their config, and nothing that could run or tell of the training."""

import dataclasses
import json
import struct

import pytest
import torch

from acnet.checkpoint.bundle import (
    Bundle,
    bundle_config,
    is_bundle,
    read_bundle,
    tensor_summary,
    write_bundle,
)
from acnet.config import load_config, prediction_config
from acnet.errors import UserError
from tests.evaluation.count_models import count_model

CONFIG = prediction_config(load_config("toy/acnet_r18"))
COUNT_MODEL = count_model(threshold=0.3)
BUNDLE = Bundle(
    config=CONFIG, class_names=("acne", "Sommersproße"), count_model=COUNT_MODEL, card="# Card\n"
)
STATE = {"b.weight": torch.arange(6.0).reshape(2, 3), "a.count": torch.tensor(7)}


@pytest.fixture
def path(tmp_path):
    """Return a bundle's path."""
    path = tmp_path / "model.safetensors"
    write_bundle(path, STATE, BUNDLE)
    return path


def with_texts(path, **texts):
    """Change the texts of a bundle, by safetensors' layout: a length, JSON, the numbers."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    changed = {**header["__metadata__"], **texts}
    header["__metadata__"] = {name: text for name, text in changed.items() if text is not None}
    new = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(new)) + new + content[8 + length :])
    return path


def test_what_is_written_is_read(path):
    assert is_bundle(path)
    assert read_bundle(path) == BUNDLE


def test_a_bundle_without_a_count_model_has_none(path):
    write_bundle(path, STATE, dataclasses.replace(BUNDLE, count_model=None))
    assert read_bundle(path).count_model is None


def test_the_config_is_read_with_the_names_of_the_classes(path):
    cfg = bundle_config(path)
    assert cfg.model.roi_heads.num_classes == 1
    assert list(cfg.class_names) == ["acne", "Sommersproße"]
    assert load_config(path, ["model.vis_period=2"]).model.vis_period == 2


def test_equal_content_gives_equal_bytes(path, tmp_path):
    other = tmp_path / "other.safetensors"
    write_bundle(other, dict(reversed(STATE.items())), BUNDLE)
    assert other.read_bytes() == path.read_bytes()


def test_numbers_are_summed_by_type(path):
    assert tensor_summary(path) == {"F32": 6, "I64": 1}


def test_a_tensor_that_shares_memory_is_stored_twice(path):
    shared = torch.ones(3)
    write_bundle(path, {"a": shared, "b": shared}, BUNDLE)
    assert tensor_summary(path) == {"F32": 6}


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"name it model\.safetensors\.$"):
        write_bundle(tmp_path / "model.pth", STATE, BUNDLE)


@pytest.mark.parametrize(
    ("texts", "fault"),
    [
        ({"format": None}, "holds no config"),
        ({"version": "2"}, "of version '2', where 1 is known"),
        ({"config": None, "card": None}, "without card, config"),
        ({"classes": "acne"}, "whose classes are 'acne'"),
        ({"classes": '{"0": "acne"}'}, "whose classes are"),
        ({"count_model": "{}"}, "does not say 'format'"),
    ],
)
def test_incomplete_bundles_are_refused(path, texts, fault):
    with pytest.raises(UserError, match=fault):
        read_bundle(with_texts(path, **texts))


def test_a_config_that_would_run_something_is_refused(path):
    config = "model: {_target_: os.system, command: echo}\n"
    with pytest.raises(UserError, match=r"model names 'os\.system'"):
        bundle_config(with_texts(path, config=config))
    with pytest.raises(UserError, match="yaml of plain values"):
        bundle_config(with_texts(path, config="x: !!python/object/apply:os.getcwd []"))


@pytest.mark.parametrize("content", [b"", b"no bundle", b"\xff" * 100])
def test_damaged_files_are_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors, which cannot be read"):
        read_bundle(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="where there is none"):
        read_bundle(tmp_path / "no.safetensors")


def test_other_weights_are_no_bundle(tmp_path):
    (tmp_path / "model.pth").write_bytes(b"")
    assert not is_bundle(tmp_path / "model.pth")
