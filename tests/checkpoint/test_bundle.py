"""Bundles: weights that carry their config, and nothing that could run or tell of the training.

What strangers may put into them is tried in `tests/checkpoint/test_hostile_bundles.py`.
"""

import dataclasses

import pytest
import torch
from safetensors.torch import save_file

from acnet.checkpoint import bundle
from acnet.checkpoint.bundle import (
    Bundle,
    is_bundle,
    read_bundle,
    resolve_weights,
    tensor_summary,
    write_bundle,
)
from acnet.checkpoint.safe_load import read_checkpoint
from acnet.config import load_config, prediction_config
from acnet.errors import UnreadableFileError, UserError
from tests.evaluation.count_models import count_model

BUNDLE = Bundle(
    config=prediction_config(load_config("toy/acnet_r18")),
    class_names=("acne", "Sommersproße"),
    count_model=count_model(threshold=0.3),
    card="# Card\n",
)
STATE = {"b.weight": torch.arange(6.0).reshape(2, 3), "a.count": torch.tensor(7)}


@pytest.fixture
def path(tmp_path):
    """Return a bundle's path."""
    path = tmp_path / "model.safetensors"
    write_bundle(path, STATE, BUNDLE)
    return path


def test_what_is_written_is_read(path):
    assert is_bundle(path)
    assert read_bundle(path) == BUNDLE
    assert tensor_summary(path) == {"F32": 6, "I64": 1}
    cfg = load_config(path, ["model.vis_period=2"])
    assert (cfg.model.roi_heads.num_classes, cfg.model.vis_period) == (1, 2)
    assert list(cfg.class_names) == ["acne", "Sommersproße"]
    plain = dataclasses.replace(BUNDLE, count_model=None)
    write_bundle(path, STATE, plain)
    assert read_bundle(path) == plain


def test_equal_content_gives_equal_bytes_with_the_rights_of_a_new_file(path, tmp_path):
    other = tmp_path / "other.safetensors"
    write_bundle(other, dict(reversed(STATE.items())), BUNDLE)
    assert other.read_bytes() == path.read_bytes()
    (tmp_path / "new").touch()
    assert path.stat().st_mode == (tmp_path / "new").stat().st_mode
    shared = torch.ones(3)  # which safetensors alone would refuse to store twice
    write_bundle(path, {"a": shared, "b": shared}, BUNDLE)
    assert tensor_summary(path) == {"F32": 6}


def test_other_files_are_no_bundles(tmp_path):
    with pytest.raises(UserError, match=r"name it model\.safetensors\.$"):
        write_bundle(tmp_path / "model.pth", STATE, BUNDLE)
    (tmp_path / "model.pth").write_bytes(b"")
    assert not is_bundle(tmp_path / "model.pth")
    with pytest.raises(UserError, match="where there is none"):
        read_bundle(tmp_path / "no.safetensors")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Return two empty folders for bundled weights."""
    both = (tmp_path / "package", tmp_path / "clone")
    for folder in both:
        folder.mkdir()
    monkeypatch.setattr(bundle, "FOLDERS", both)
    return both


def test_weights_go_by_a_path_then_by_a_name(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"--weights small, where there is no file; none are"):
        resolve_weights("small")
    for folder in folders:
        (folder / "small.safetensors").touch()
    assert resolve_weights("small") == folders[0] / "small.safetensors"  # as installed
    (tmp_path / "small").touch()
    assert str(resolve_weights("small")) == "small"
    (folders[1] / "large.safetensors").touch()
    with pytest.raises(UserError, match="the bundled ones are large, small"):
        resolve_weights("medium")


def test_the_default_is_the_only_one_or_the_one_called_so(folders):
    with pytest.raises(UserError, match=r"none are bundled.*make demo.*or give --weights FILE\."):
        resolve_weights(None)
    (folders[1] / "z.safetensors").touch()
    assert resolve_weights(None) == folders[1] / "z.safetensors"
    (folders[0] / "a.safetensors").touch()
    with pytest.raises(UserError, match="ones are a, z"):
        resolve_weights(None)
    (folders[0] / "default.safetensors").touch()
    assert resolve_weights(None) == folders[0] / "default.safetensors"


@pytest.mark.parametrize("spot", [b'"shape":[2,3]', b"F32", b"acne", b"pixel_std", None])
def test_a_bundle_with_a_changed_byte_is_not_loaded(path, spot):
    assert read_checkpoint(path)["model"]["a.count"] == 7
    content = bytearray(path.read_bytes())
    place = -1 if spot is None else content.index(spot) + len(spot) - 2
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=r"model\.safetensors is not a readable weights"):
        read_checkpoint(path)


def test_a_bundle_of_an_earlier_version_has_no_hash(path):
    texts = BUNDLE.texts(bundle.FORMAT)
    save_file(STATE, path, metadata=texts)
    assert read_checkpoint(path)["model"].keys() == STATE.keys()
    save_file(STATE, path, metadata={**texts, "sha256": "0" * 64})
    with pytest.raises(UnreadableFileError, match="bytes of it have changed since it was packed"):
        read_checkpoint(path)
