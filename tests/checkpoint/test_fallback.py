"""Where the last checkpoint is lost, the newest older one takes its place, loudly."""

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from acnet.checkpoint import ACNetCheckpointer
from acnet.errors import UnreadableFileError
from tests.checkpoint.weights_files import resumed_iteration, save_iterations

NAME = "acnet.checkpoint.checkpointer"


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "hostile"])
def test_falls_back_loudly_to_the_newest_older_checkpoint(tmp_path, caplog, damage):
    save_iterations(tmp_path, 9, 10, 100)
    last = tmp_path / "model_0000100.pth"
    if damage == "missing":
        last.unlink()
    elif damage == "hostile":
        torch.save({"model": {}, "x": Path}, last)
    else:
        last.write_bytes(last.read_bytes()[: 700 if damage == "truncated" else 0])
    with caplog.at_level(logging.WARNING, NAME):
        assert resumed_iteration(tmp_path) == 10
    message = caplog.messages[-1]
    assert "model_0000010.pth" in message
    assert "model_0000100.pth" in message


def test_newest_is_by_iteration_not_by_name_or_time(tmp_path):
    save_iterations(tmp_path, 20, 3)
    model = nn.Linear(4, 4)
    nn.init.constant_(model.weight, 30)
    ACNetCheckpointer(model, tmp_path).save("model_best", iteration=30)
    save_iterations(tmp_path, 5)
    (tmp_path / "model_0000005.pth").unlink()
    assert resumed_iteration(tmp_path) == 30


def test_skips_more_than_one_damaged_checkpoint(tmp_path, caplog):
    save_iterations(tmp_path, 1, 2, 3)
    for iteration in (2, 3):
        (tmp_path / f"model_{iteration:07d}.pth").write_bytes(b"PK\x03\x04")
    with caplog.at_level(logging.WARNING, NAME):
        assert resumed_iteration(tmp_path) == 1


def test_each_checkpoint_is_tried_once(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    save_iterations(Path("run"), 1, 2)
    Path("run/model_0000002.pth").write_bytes(b"")
    with caplog.at_level(logging.WARNING, NAME):
        ACNetCheckpointer(nn.Linear(4, 4), "./run").resume_or_load("", resume=True)
    assert [message.count("Cannot resume") for message in caplog.messages] == [1, 0]


def test_no_readable_checkpoint_is_an_error_with_a_remedy(tmp_path):
    save_iterations(tmp_path, 1, 2)
    for path in tmp_path.glob("*.pth"):
        path.write_bytes(b"")
    with pytest.raises(UnreadableFileError, match=r"model_0000002.*model_0000001.*output_dir"):
        ACNetCheckpointer(nn.Linear(4, 4), tmp_path).resume_or_load("", resume=True)


def test_a_lost_tag_falls_back_to_the_newest(tmp_path, caplog):
    save_iterations(tmp_path, 1, 2)
    (tmp_path / "last_checkpoint").unlink()
    torch.save({"model": {}, "iteration": 9}, tmp_path / "features.pth")  # no checkpoint of a run
    with caplog.at_level(logging.WARNING, NAME):
        assert resumed_iteration(tmp_path) == 2
    assert "No last_checkpoint" in caplog.text
