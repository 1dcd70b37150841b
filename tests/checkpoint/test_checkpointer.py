"""Saving, resuming, falling back, fine-tuning."""

import copy
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine.hooks import PeriodicCheckpointer
from detectron2.layers import FrozenBatchNorm2d
from detectron2.utils import comm
from safetensors.torch import save_model
from torch import nn

from acnet.checkpoint import ACNetCheckpointer
from acnet.errors import UnsafeFileError, WeightsMismatchError
from acnet.errors import UserError as UserError
from tests.checkpoint.weights_files import Detector, resumed_iteration, save_iterations

NAME = "acnet.checkpoint.checkpointer"


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    optimizer.zero_grad()
    loss = model(torch.ones(1, 4)).square().sum()
    loss.backward()
    optimizer.step()
    return loss.item()


def test_resuming_continues_with_the_same_losses(tmp_path):
    """Three steps, then two more: unbroken, and resumed in a fresh process' objects."""
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for _ in range(3):
        train_step(model, optimizer)
    ACNetCheckpointer(model, tmp_path, optimizer=optimizer).save("model_0000002", iteration=2)
    unbroken = [train_step(model, optimizer) for _ in range(2)]

    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    checkpointer = ACNetCheckpointer(model, tmp_path, optimizer=optimizer)
    assert checkpointer.resume_or_load("", resume=True) == {"iteration": 2}
    assert checkpointer.report.is_complete
    assert [train_step(model, optimizer) for _ in range(2)] == unbroken


def test_without_resume_only_weights_are_loaded(tmp_path):
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    train_step(model, optimizer)
    ACNetCheckpointer(model, tmp_path / "first", optimizer=optimizer).save("model_final")
    fresh = nn.Linear(4, 4)
    second = torch.optim.SGD(fresh.parameters(), lr=0.01, momentum=0.9)
    checkpointer = ACNetCheckpointer(fresh, tmp_path / "second", optimizer=second)
    checkpointer.resume_or_load(str(tmp_path / "first" / "model_final.pth"), resume=True)
    torch.testing.assert_close(fresh.state_dict(), model.state_dict())
    assert not second.state


def test_detectron2s_checkpointer_reads_ours_and_we_read_its(tmp_path):
    model, other = nn.Linear(4, 4), nn.Linear(4, 4)
    ACNetCheckpointer(model, tmp_path / "ours").save("model_final", iteration=3)
    rest = DetectionCheckpointer(other).load(str(tmp_path / "ours" / "model_final.pth"))
    assert rest["iteration"] == 3
    torch.testing.assert_close(other.state_dict(), model.state_dict())
    DetectionCheckpointer(nn.Linear(4, 4), str(tmp_path)).save("model_final", iteration=4)
    assert ACNetCheckpointer(model, tmp_path).resume_or_load("", resume=True) == {"iteration": 4}


def test_periodic_checkpointer_keeps_the_last_ones_and_the_tagged_one(tmp_path):
    checkpointer = ACNetCheckpointer(nn.Linear(4, 4), tmp_path)
    periodic = PeriodicCheckpointer(checkpointer, period=2, max_iter=9, max_to_keep=2)
    for iteration in range(9):
        periodic.step(iteration)
        if checkpointer.has_checkpoint():
            assert Path(checkpointer.get_checkpoint_file()).is_file()
    assert files(tmp_path) == [
        "last_checkpoint",
        "model_0000005.pth",
        "model_0000007.pth",
        "model_final.pth",
    ]
    assert (tmp_path / "last_checkpoint").read_text() == "model_final.pth"


def test_other_processes_and_runs_without_a_folder_save_nothing(tmp_path):
    ACNetCheckpointer(nn.Linear(1, 1), tmp_path, save_to_disk=False).save("model_final")
    ACNetCheckpointer(nn.Linear(1, 1)).save("model_final")
    assert files(tmp_path) == []


def test_what_could_not_be_loaded_again_is_refused_when_saving(tmp_path):
    save_iterations(tmp_path, 1)
    checkpointer = ACNetCheckpointer(nn.Linear(4, 4), tmp_path)
    with pytest.raises(UnsafeFileError, match=r"model_2\.pth is not written.*scalar"):
        checkpointer.save("model_2", best=np.float64(3.0))
    assert files(tmp_path) == ["last_checkpoint", "model_0000001.pth"]
    assert resumed_iteration(tmp_path) == 1


def test_a_name_with_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no folder"):
        ACNetCheckpointer(nn.Linear(1, 1), tmp_path).save("sub/model")


def test_a_first_run_starts_from_nothing(tmp_path):
    checkpointer = ACNetCheckpointer(nn.Linear(4, 4), tmp_path / "new")
    assert not checkpointer.has_checkpoint()
    assert checkpointer.resume_or_load("", resume=True) == {}


def test_resuming_another_model_is_an_error(tmp_path):
    save_iterations(tmp_path, 1)
    model = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(WeightsMismatchError):
        ACNetCheckpointer(model, tmp_path).resume_or_load("", resume=True)
    wider = nn.Linear(4, 5)
    before = copy.deepcopy(wider.state_dict())
    nn.init.zeros_(wider.bias)
    before = copy.deepcopy(wider.state_dict())
    with pytest.raises(WeightsMismatchError, match="share names and shapes"):
        ACNetCheckpointer(wider, tmp_path).resume_or_load("", resume=True)
    torch.testing.assert_close(wider.state_dict(), before)


def test_resuming_with_another_head_names_the_difference(tmp_path):
    ACNetCheckpointer(Detector(), tmp_path).save("model_final")
    with pytest.raises(WeightsMismatchError, match=r"cls_score\.bias \(2,\), not \(21,\).*config"):
        ACNetCheckpointer(Detector(num_classes=20), tmp_path).resume_or_load("", resume=True)


def test_fine_tuning_for_other_classes_loads_the_rest_and_says_so(tmp_path, caplog):
    trained, model = Detector(num_classes=20), Detector(num_classes=1)
    ACNetCheckpointer(trained, tmp_path).save("model_final")
    head = copy.deepcopy(model.roi_heads.box_predictor.state_dict())
    checkpointer = ACNetCheckpointer(model)
    with caplog.at_level(logging.WARNING):
        checkpointer.load(str(tmp_path / "model_final.pth"))
    torch.testing.assert_close(model.roi_heads.box_predictor.state_dict(), head)
    torch.testing.assert_close(model.backbone.state_dict(), trained.backbone.state_dict())
    predictor = "roi_heads.box_predictor"
    assert [one.name for one in checkpointer.report.mismatched] == [
        f"{predictor}.{layer}.{field}"
        for layer in ("bbox_pred", "cls_score")
        for field in ("bias", "weight")
    ]
    assert f"{predictor}.cls_score.weight stays random: its shape is (21, 8)" in caplog.text


def test_partly_matching_checkpoint_is_reported_both_ways(tmp_path, caplog):
    torch.save({"0.weight": torch.ones(2, 2), "old.weight": torch.ones(1)}, tmp_path / "part.pth")
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    checkpointer = ACNetCheckpointer(model)
    with caplog.at_level(logging.WARNING, NAME):
        checkpointer.load(str(tmp_path / "part.pth"))
    assert checkpointer.report.unused == ("old.weight",)
    assert [name for part in checkpointer.report.random for name in part.names] == [
        "0.bias",
        "1.bias",
        "1.weight",
    ]
    assert "old.weight" in caplog.text
    assert "1.bias" in caplog.text
    torch.testing.assert_close(model[0].weight.detach(), torch.ones(2, 2))


def test_what_is_reported_as_random_is_left_as_it_is(tmp_path):
    """Of a state dict without versions, FrozenBatchNorm2d sets missing statistics to 0 and 1."""
    norm = FrozenBatchNorm2d(2)
    torch.save({"weight": torch.ones(2), "bias": torch.ones(2)}, tmp_path / "affine.pth")
    nn.init.constant_(norm.running_mean, 5)
    checkpointer = ACNetCheckpointer(norm)
    checkpointer.load(str(tmp_path / "affine.pth"))
    names = [name for part in checkpointer.report.random for name in part.names]
    assert names == ["running_mean", "running_var"]
    torch.testing.assert_close(norm.running_mean, torch.full((2,), 5.0))


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    torch.save({"encoder.weight": torch.ones(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(WeightsMismatchError, match=r"other\.pth.*encoder\.weight"):
        ACNetCheckpointer(Detector()).load(str(tmp_path / "other.pth"))


def test_prefix_of_data_parallel_is_dropped(tmp_path):
    state = {f"module.{name}": value + 1 for name, value in nn.Linear(2, 2).state_dict().items()}
    torch.save(state, tmp_path / "ddp.pth")
    checkpointer = ACNetCheckpointer(nn.Linear(2, 2))
    checkpointer.load(str(tmp_path / "ddp.pth"))
    assert checkpointer.report.is_complete


def test_safetensors_with_a_shared_stem(tmp_path):
    """Shared tensors are stored once there, under one of their names."""
    trained, model = Detector(), Detector()
    save_model(trained, tmp_path / "model.safetensors")
    checkpointer = ACNetCheckpointer(model)
    checkpointer.load(str(tmp_path / "model.safetensors"))
    assert checkpointer.report.is_complete
    torch.testing.assert_close(model.state_dict(), trained.state_dict())


def test_a_stem_of_its_own_that_the_file_lacks_is_reported(tmp_path):
    save_model(Detector(), tmp_path / "model.safetensors")
    checkpointer = ACNetCheckpointer(Detector(share_stem=False))
    checkpointer.load(str(tmp_path / "model.safetensors"))
    (part,) = checkpointer.report.random
    assert (part.group, len(part.names)) == ("ResNet", 5)


def test_ranks_that_start_from_different_files_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(comm, "all_gather", lambda source: [source, ""])
    save_iterations(tmp_path, 1)
    with pytest.raises(UserError, match="file system that all machines share"):
        ACNetCheckpointer(nn.Linear(4, 4), tmp_path).resume_or_load("", resume=True)
