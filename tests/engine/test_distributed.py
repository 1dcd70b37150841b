"""What several processes need, as far as one process can show it; see test_train_net.py too."""

import pytest
import torch
from detectron2.utils import comm
from torch import distributed as dist
from torch import nn

from acnet.engine import distributed
from acnet.errors import UserError
from tests.engine.tiny_task import TinyDetector

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def _two_processes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(comm, "get_world_size", lambda: 2)


def test_one_process_changes_nothing():
    model = TinyDetector()
    assert distributed.synchronize_batch_norm(model, device=GPU) is model
    assert distributed.wrap_for_processes(model, device=CPU, ddp={}) is model
    assert distributed.unwrap(model) is model
    distributed.broadcast_buffers(model)


@pytest.mark.usefixtures("_two_processes")
def test_batch_norm_is_synchronized_on_gpus_only():
    on_gpu = distributed.synchronize_batch_norm(TinyDetector(), device=GPU)
    assert isinstance(on_gpu.bn, nn.SyncBatchNorm)
    on_cpu = distributed.synchronize_batch_norm(TinyDetector(), device=CPU)
    assert type(on_cpu.bn) is nn.BatchNorm2d


@pytest.mark.usefixtures("_two_processes")
def test_a_cpu_model_over_nccl_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dist, "get_backend", lambda: dist.Backend.NCCL)
    with pytest.raises(UserError, match=r"CUDA_VISIBLE_DEVICES=''"):
        distributed.wrap_for_processes(TinyDetector(), device=CPU, ddp={})
