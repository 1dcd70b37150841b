"""A kill at any moment of saving leaves a loadable last checkpoint."""

import multiprocessing
import os
import signal
import stat
from pathlib import Path

import pytest
import torch
from torch import nn

from acnet.checkpoint import ACNetCheckpointer
from acnet.files import remove_stale
from tests.checkpoint.weights_files import resumed_iteration, save_iterations

SIZE = 300  # large enough that a save takes longer than the gaps between two

# A forked child has torch imported already; the first one alone would take seconds.
CONTEXT = multiprocessing.get_context("fork")


def save_until_call(folder: Path, calls: int) -> None:
    """Saves iteration 1 and dies just before the given call of what touches the disk."""
    left = calls

    def dying(function):
        def call(*args, **kwargs):
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return function(*args, **kwargs)

        return call

    for name in ("fsync", "replace", "unlink", "open"):
        setattr(os, name, dying(getattr(os, name)))
    torch.save = dying(torch.save)
    save_iterations(folder, 1, size=SIZE)


def test_killed_before_each_step_of_a_save_it_resumes(tmp_path):
    for calls in range(100):
        folder = tmp_path / str(calls)
        save_iterations(folder, 0, size=SIZE)
        child = CONTEXT.Process(target=save_until_call, args=(folder, calls))
        child.start()
        child.join()
        iteration = resumed_iteration(folder, size=SIZE)
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]
        if child.exitcode == 0:
            assert iteration == 1
            assert calls >= 6  # two files, each written, synced and renamed
            return
        assert child.exitcode == -signal.SIGKILL
        assert iteration in (0, 1)
    pytest.fail("no save ever got through")


def test_content_is_on_the_disk_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    steps, replace = [], os.replace

    def record_sync(descriptor: int) -> None:
        steps.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")

    def record_replace(source: Path, target: Path) -> None:
        steps.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "replace", record_replace)
    ACNetCheckpointer(nn.Linear(2, 2), tmp_path).save("model_final")
    assert steps == ["sync file", "name", "sync folder"] * 2  # the checkpoint, then its tag


def test_only_our_temporary_files_are_removed(tmp_path):
    stale = [".model_0000001.0123456789ab.tmp.pth", ".last_checkpoint.0123456789ab.tmp"]
    kept = ["model_0000001.pth", "last_checkpoint", ".hidden.pth", "notes.tmp", ".x.tmp.jpg"]
    for name in stale + kept:
        (tmp_path / name).touch()
    assert remove_stale(tmp_path / "none") == []
    assert [path.name for path in remove_stale(tmp_path)] == sorted(stale)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_only_who_resumes_or_starts_a_training_cleans_up_not_who_merely_loads(tmp_path):
    checkpointer = ACNetCheckpointer(nn.Linear(2, 2), tmp_path)
    checkpointer.save("model_final")
    stale = tmp_path / ".model_final.0123456789ab.tmp.pth"
    stale.touch()
    checkpointer.load(str(tmp_path / "model_final.pth"))
    ACNetCheckpointer(nn.Linear(2, 2), tmp_path, save_to_disk=False).resume_or_load("", resume=True)
    assert stale.exists()
    checkpointer.resume_or_load("", resume=True)
    assert not stale.exists()
