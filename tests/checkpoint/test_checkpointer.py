"""Saving, resuming, falling back to an older checkpoint, fine-tuning."""

import copy
import logging
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.layers import FrozenBatchNorm2d
from detectron2.utils import comm
from safetensors.torch import save_model
from torch import nn

from acnet.checkpoint import ACNetCheckpointer, load_trained_weights
from acnet.errors import UnreadableFileError, UnsafeFileError, UserError, WeightsMismatchError
from tests.checkpoint.weights_files import Detector, load, resumed_iteration, save_iterations

NAME = "acnet.checkpoint.checkpointer"


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def with_optimizer(folder: Path) -> tuple[nn.Module, torch.optim.Optimizer, ACNetCheckpointer]:
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return model, optimizer, ACNetCheckpointer(model, folder, optimizer=optimizer)


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    optimizer.zero_grad()
    loss = model(torch.ones(1, 4)).square().sum()
    loss.backward()
    optimizer.step()
    return loss.item()


def test_resuming_continues_with_the_same_losses_and_a_start_takes_the_weights_alone(tmp_path):
    model, optimizer, checkpointer = with_optimizer(tmp_path)
    assert not checkpointer.has_checkpoint()
    assert checkpointer.resume_or_load("", resume=True) == {}
    for _ in range(3):
        train_step(model, optimizer)
    checkpointer.save("model_0000002", iteration=2)
    saved = copy.deepcopy(model.state_dict())
    unbroken = [train_step(model, optimizer) for _ in range(2)]

    model, optimizer, checkpointer = with_optimizer(tmp_path)
    assert checkpointer.resume_or_load("", resume=True) == {"iteration": 2}
    assert checkpointer.report.is_complete
    assert [train_step(model, optimizer) for _ in range(2)] == unbroken

    model, optimizer, checkpointer = with_optimizer(tmp_path / "another")
    checkpointer.resume_or_load(str(tmp_path / "model_0000002.pth"), resume=True)
    torch.testing.assert_close(model.state_dict(), saved)
    assert not optimizer.state


def test_detectron2s_checkpointer_reads_ours_and_we_read_its(tmp_path):
    model, other = nn.Linear(4, 4), nn.Linear(4, 4)
    ACNetCheckpointer(model, tmp_path / "ours").save("model_final", iteration=3)
    rest = DetectionCheckpointer(other).load(str(tmp_path / "ours" / "model_final.pth"))
    assert rest["iteration"] == 3
    torch.testing.assert_close(other.state_dict(), model.state_dict())
    DetectionCheckpointer(nn.Linear(4, 4), str(tmp_path)).save("model_final", iteration=4)
    assert ACNetCheckpointer(model, tmp_path).resume_or_load("", resume=True) == {"iteration": 4}


def test_what_is_not_saved(tmp_path):
    model = nn.Linear(4, 4)
    ACNetCheckpointer(model, tmp_path, save_to_disk=False).save("model_final")  # another process
    ACNetCheckpointer(model).save("model_final")  # no folder
    with pytest.raises(ValueError, match="no folder"):
        ACNetCheckpointer(model, tmp_path).save("sub/model")
    assert files(tmp_path) == []
    save_iterations(tmp_path, 1)
    with pytest.raises(UnsafeFileError, match=r"model_2\.pth is not written.*scalar"):
        ACNetCheckpointer(model, tmp_path).save("model_2", best=np.float64(3.0))
    assert files(tmp_path) == ["last_checkpoint", "model_0000001.pth"]
    assert resumed_iteration(tmp_path) == 1


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "hostile"])
def test_falls_back_loudly_to_the_newest_older_checkpoint(tmp_path, caplog, damage):
    save_iterations(tmp_path, 8, 9, 10, 100)
    (tmp_path / "model_0000010.pth").write_bytes(b"PK\x03\x04")  # damaged as well
    last = tmp_path / "model_0000100.pth"
    if damage == "missing":
        last.unlink()
    elif damage == "hostile":
        torch.save({"model": {}, "x": Path}, last)
    else:
        last.write_bytes(last.read_bytes()[: 700 if damage == "truncated" else 0])
    with caplog.at_level(logging.WARNING, NAME):
        assert resumed_iteration(tmp_path) == 9
    assert "model_0000009.pth in place of" in caplog.messages[-1]
    assert "model_0000100.pth" in caplog.messages[-1]


def test_a_full_disk_ends_in_a_sentence_and_keeps_what_was_saved(tmp_path):
    _, _, checkpointer = with_optimizer(tmp_path)
    checkpointer.save("model_0000001", iteration=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing fails instead
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"model_0000002\.pth: File too large.*--resume"):
            checkpointer.save("model_0000002", iteration=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert files(tmp_path) == ["last_checkpoint", "model_0000001.pth"]
    assert checkpointer.resume_or_load("", resume=True) == {"iteration": 1}


def test_each_checkpoint_is_tried_once_and_without_a_readable_one_there_is_a_remedy(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    save_iterations(Path("run"), 1, 2)
    Path("run/model_0000002.pth").write_bytes(b"")
    checkpointer = ACNetCheckpointer(nn.Linear(4, 4), "./run")
    with caplog.at_level(logging.WARNING, NAME):
        checkpointer.resume_or_load("", resume=True)
    assert [message.count("Cannot resume") for message in caplog.messages] == [1, 0]
    Path("run/model_0000001.pth").write_bytes(b"")
    with pytest.raises(UnreadableFileError, match=r"model_0000002.*model_0000001.*output_dir"):
        checkpointer.resume_or_load("", resume=True)


def test_a_lost_tag_falls_back_to_the_newest_by_iteration_not_by_name_or_time(tmp_path, caplog):
    save_iterations(tmp_path, 30)
    (tmp_path / "model_0000030.pth").rename(tmp_path / "model_best.pth")
    save_iterations(tmp_path, 20, 3)
    (tmp_path / "last_checkpoint").unlink()
    torch.save({"model": {}, "iteration": 99}, tmp_path / "features.pth")  # no checkpoint of a run
    with caplog.at_level(logging.WARNING, NAME):
        assert resumed_iteration(tmp_path) == 30
    assert "No last_checkpoint" in caplog.text
    (tmp_path / "model_best.pth").unlink()
    assert resumed_iteration(tmp_path) == 20


def test_ranks_that_start_from_different_files_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(comm, "all_gather", lambda source: [source, ""])
    save_iterations(tmp_path, 1)
    with pytest.raises(UserError, match="file system that all machines share"):
        ACNetCheckpointer(nn.Linear(4, 4), tmp_path).resume_or_load("", resume=True)


@pytest.mark.parametrize(
    ("trained", "model", "message"),
    [
        (nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4)), "share names and shapes"),
        (nn.Linear(4, 4), nn.Linear(4, 5), r"share names and shapes.*names, such as bias, weight"),
        (Detector(), Detector(num_classes=20), r"cls_score\.bias \(2,\), not \(21,\).*config"),
        (nn.Linear(4, 4, bias=False), nn.Linear(4, 4), "not in the file: bias; not in the model"),
        (nn.Linear(4, 4), nn.Linear(4, 4, bias=False), r"not in the model: bias\. "),
        (
            Detector(share_stem=False),
            Detector(),
            r"\.stem\.\S+ and \S+stem\.\S+ differ.*freeze_at=0",
        ),
    ],
)
def test_weights_of_another_model_are_refused_where_all_must_fit(tmp_path, trained, model, message):
    ACNetCheckpointer(trained, tmp_path).save("model_final")
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(WeightsMismatchError, match=rf"{message}.*"):
        ACNetCheckpointer(model, tmp_path).resume_or_load("", resume=True)
    with pytest.raises(WeightsMismatchError, match=rf"{message}.*"):
        load_trained_weights(model, tmp_path / "model_final.pth")
    torch.testing.assert_close(model.state_dict(), before)


def test_fine_tuning_for_other_classes_loads_the_rest_and_says_so(tmp_path, caplog):
    trained, model = Detector(num_classes=20), Detector(num_classes=1)
    ACNetCheckpointer(trained, tmp_path).save("model_final")
    head = copy.deepcopy(model.roi_heads.box_predictor.state_dict())
    with caplog.at_level(logging.WARNING):
        report = load(model, tmp_path / "model_final.pth")
    torch.testing.assert_close(model.roi_heads.box_predictor.state_dict(), head)
    torch.testing.assert_close(model.backbone.state_dict(), trained.backbone.state_dict())
    predictor = "roi_heads.box_predictor"
    assert list(report.mismatched) == [f"{predictor}.{name}" for name in sorted(head)]
    assert f"{predictor}.cls_score.weight stays random: its shape is (21, 8)" in caplog.text


@pytest.mark.parametrize("prefix", ["", "module."])  # as a DistributedDataParallel has it
def test_a_partly_matching_checkpoint_is_reported_both_ways(tmp_path, caplog, prefix):
    state = {"0.weight": torch.ones(2), "0.bias": torch.ones(2), "old.weight": torch.ones(1)}
    torch.save({prefix + name: value for name, value in state.items()}, tmp_path / "part.pth")
    model = nn.Sequential(FrozenBatchNorm2d(2), nn.Linear(2, 2))
    nn.init.constant_(model[0].running_mean, 5)
    with caplog.at_level(logging.WARNING, NAME):
        report = load(model, tmp_path / "part.pth")
    assert report.unused == ("old.weight",)
    random = [name for part in report.random for name in part.names]
    assert random == ["0.running_mean", "0.running_var", "1.bias", "1.weight"]
    assert "old.weight" in caplog.text
    assert "1.bias" in caplog.text
    torch.testing.assert_close(model[0].bias, torch.ones(2))
    # Of a state dict without versions, FrozenBatchNorm2d would set missing statistics to 0 and 1.
    torch.testing.assert_close(model[0].running_mean, torch.full((2,), 5.0))


def test_safetensors_with_a_shared_stem(tmp_path):
    # Shared tensors are stored once there, under one of their names.
    trained, model = Detector(), Detector()
    save_model(trained, tmp_path / "model.safetensors")
    assert load(model, tmp_path / "model.safetensors").is_complete
    torch.testing.assert_close(model.state_dict(), trained.state_dict())
    report = load(Detector(share_stem=False), tmp_path / "model.safetensors")
    (part,) = report.random  # the stem that the file lacks
    assert (part.group, len(part.names)) == ("ResNet", 5)


def test_two_stems_of_one_value_fill_the_shared_one(tmp_path):
    two, model = Detector(share_stem=False), Detector()
    two.assistant.stem.load_state_dict(two.lead.stem.state_dict())
    ACNetCheckpointer(two, tmp_path).save("equal")
    load(model, tmp_path / "equal.pth")
    torch.testing.assert_close(model.state_dict(), two.state_dict())


@pytest.mark.parametrize("average", [torch.ones(1), {}, {"weight": torch.ones(4, 4)}])
def test_what_is_called_ema_and_is_no_average_of_the_model_is_left_out(tmp_path, average):
    model = nn.Linear(4, 4)
    torch.save({"model": model.state_dict(), "ema": average}, tmp_path / "a.pth")
    fresh = nn.Linear(4, 4)
    load_trained_weights(fresh, tmp_path / "a.pth")
    torch.testing.assert_close(fresh.state_dict(), model.state_dict())
