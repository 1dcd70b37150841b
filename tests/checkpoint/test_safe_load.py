"""Every format to one layout; damaged, hostile and absent files to errors that help."""

import os
import pickle
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from acnet.checkpoint import ACNetCheckpointer
from acnet.checkpoint.safe_load import fetch, read_checkpoint
from acnet.errors import UnreadableFileError, UnsafeFileError


class Touch:
    """Pickles as a shell command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("use_zip", [True, False])
@pytest.mark.parametrize("forced", [False, True])
def test_code_in_a_torch_file_is_refused_and_not_run(tmp_path, monkeypatch, use_zip, forced):
    if forced:  # by torch's switch that turns the safe reader off
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path, canary = tmp_path / "evil.pth", tmp_path / "canary"
    content = {"model": {"w": torch.ones(2)}, "optimizer": [{"x": Touch(canary)}]}
    torch.save(content, path, _use_new_zipfile_serialization=use_zip)
    with pytest.raises(UnsafeFileError, match=r"evil\.pth.*asks for \S*system.*state dict alone"):
        read_checkpoint(path)
    assert not canary.exists()


def test_code_without_torchs_frame_and_whole_modules_are_refused(tmp_path):
    path, canary = tmp_path / "evil.pth", tmp_path / "canary"
    path.write_bytes(pickle.dumps({"model": Touch(canary)}, protocol=2))
    with pytest.raises(UnsafeFileError, match=r"evil\.pth"):
        read_checkpoint(path)
    assert not canary.exists()
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(UnsafeFileError, match=r"torch\.nn\.modules\.linear\.Linear"):
        read_checkpoint(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".pkl"])
def test_truncated_and_empty_files_are_unreadable(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"w": torch.ones(1000)}, path)
    elif suffix == ".safetensors":
        save_file({"w": torch.ones(1000)}, path)
    else:
        path.write_bytes(pickle.dumps({"w": np.ones(1000)}))
    content = path.read_bytes()
    for length in (len(content) - 1, len(content) // 2, 9, 0):
        path.write_bytes(content[:length])
        with pytest.raises((UnreadableFileError, UnsafeFileError), match=f"weights{suffix}"):
            read_checkpoint(path)
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")  # a huge header of safetensors
    with pytest.raises(UnreadableFileError, match=f"weights{suffix}"):
        read_checkpoint(path)


def test_layouts_become_one(tmp_path):
    w, array = torch.ones(2), np.ones(2, dtype=np.float32)
    # PyTorch's example has {"state_dict"}, Caffe2's detectors {"blobs"}.
    for number, content in enumerate([{"w": w}, {"model": {"w": w}}, {"state_dict": {"w": w}}]):
        torch.save(content, tmp_path / f"{number}.pth")
    named = {"model": {"w": array}, "__author__": "torchvision"}
    caffe2 = {"blobs": {"w": array, "w_momentum": array}, "cfg": "MODEL: ..."}
    for name, content in {"named": named, "caffe2": caffe2}.items():
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(content))
    save_file({"w": w}, tmp_path / "safe.safetensors", metadata={"__author__": "MSRA"})
    for path in sorted(tmp_path.iterdir()):
        checkpoint = read_checkpoint(path)
        torch.testing.assert_close(checkpoint["model"], {"w": w})
        assert set(checkpoint) <= {"model", "__author__"}
    assert read_checkpoint(tmp_path / "named.pkl")["__author__"] == "torchvision"
    assert read_checkpoint(tmp_path / "safe.safetensors")["__author__"] == "MSRA"


@pytest.mark.parametrize(
    "content", [[1, 2], {"w": "text"}, {"model": {"w": 3}}, {3: torch.ones(1)}]
)
def test_what_is_no_state_dict_is_unreadable(tmp_path, content):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(UnreadableFileError, match=r"odd\.pth.*save a state dict"):
        read_checkpoint(tmp_path / "odd.pth")


def test_what_is_missing_or_offline_names_the_remedy_and_a_download_is_read(tmp_path, monkeypatch):
    def serve(url, filename, reporthook):
        if url != "https://dl.fbaipublicfiles.com/detectron2/ImageNetPretrained/MSRA/R-9.pkl":
            raise urllib.error.URLError("Name or service not known")
        Path(filename).write_bytes(pickle.dumps({"w": np.ones(2)}))
        return filename, None

    monkeypatch.setattr(urllib.request, "urlretrieve", serve)
    with pytest.raises(UnreadableFileError, match=r"none\.pth.*train\.init_checkpoint="):
        ACNetCheckpointer(torch.nn.Linear(1, 1)).load(str(tmp_path / "none.pth"))
    address = "detectron2://ImageNetPretrained/MSRA/R-{}.pkl"  # as the configs have it
    with pytest.raises(UnreadableFileError, match=r"R-101\.pkl.*by hand.*train\.init_checkpoint="):
        fetch(address.format(101))
    assert list(read_checkpoint(fetch(address.format(9)))["model"]) == ["w"]


def test_odd_characters_in_a_path(tmp_path):
    folder = tmp_path / "what? a #1 folder"
    folder.mkdir()
    model = torch.nn.Linear(2, 2)
    torch.save(model.state_dict(), folder / "weights.pth")
    ACNetCheckpointer(model).load(str(folder / "weights.pth"))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_a_flipped_byte_in_a_torch_file_is_noticed(tmp_path, share):
    path = tmp_path / "model.pth"
    torch.save({"model": {"a": torch.arange(10_000)}}, path)
    read_checkpoint(path)
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=r"not as it was written.*copy it again\.$"):
        read_checkpoint(path)
