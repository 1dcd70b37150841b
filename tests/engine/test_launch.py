"""Starting processes and joining them, as far as one can show it; see test_train_net.py too."""

import multiprocessing
import signal
import sys
from argparse import Namespace
from collections.abc import Callable

import pytest
import torch
from detectron2.utils import comm
from torch import distributed as dist
from torch import nn
from torch.multiprocessing import ProcessExitedException

from acnet.engine.launch import (
    broadcast_buffers,
    launch,
    synchronize_batch_norm,
    unwrap,
    wrap_for_processes,
)
from acnet.errors import UserError
from tests.engine.tiny_task import TinyDetector

MODULE = sys.modules[launch.__module__]  # its name in the package is the function's


def args(num_gpus: int = 1) -> Namespace:
    return Namespace(num_gpus=num_gpus, num_machines=1, machine_rank=0, dist_url="auto")


@pytest.fixture
def torchrun(monkeypatch) -> Callable:
    """Return a function that sets the environment of the last of some processes."""

    def start(size: int) -> None:
        ranks = {"RANK": size - 1, "LOCAL_RANK": size - 1}
        for name, value in {**ranks, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setenv("MASTER_ADDR", "localhost")

    return start


@pytest.mark.parametrize("num_gpus", [0, 1])
def test_one_process_calls_the_function_here_and_forks_workers_of_loaders(num_gpus):
    multiprocessing.set_start_method("spawn", force=True)  # as in a process that was spawned
    calls = []
    launch(lambda args: calls.append((args, multiprocessing.get_start_method())), args(num_gpus))
    assert calls == [(args(num_gpus), "fork")]


def test_a_user_error_is_printed_without_a_traceback(capsys):
    def fail(args: Namespace) -> None:
        raise UserError("Do this.") if args.num_gpus else ZeroDivisionError

    with pytest.raises(SystemExit) as ended:
        launch(fail, args())
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: Do this.\n"
    with pytest.raises(ZeroDivisionError):
        launch(fail, args(0))


def test_more_gpus_than_there_are_is_an_error(capsys, monkeypatch, torchrun):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(SystemExit):
        launch(print, args(5))
    assert "Received --num-gpus=5. Ask for at most 4" in capsys.readouterr().err
    torchrun(5)
    with pytest.raises(SystemExit):
        launch(print, args())
    assert "Received torchrun --nproc-per-node=5" in capsys.readouterr().err


def test_torchruns_environment_decides(monkeypatch, torchrun):
    torchrun(1)
    monkeypatch.setattr(MODULE, "detectron2_launch", None)  # would be an error to call
    calls = []
    launch(calls.append, args(8))
    assert len(calls) == 1


def test_the_exit_code_of_a_process_becomes_ours(monkeypatch):
    def end(*args, **kwargs) -> None:
        raise ProcessExitedException("ended", 0, 0, exit_code=143)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(MODULE, "detectron2_launch", end)
    with pytest.raises(SystemExit) as ended:
        launch(print, args(2))
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before


CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_one_process_changes_nothing():
    model = TinyDetector()
    assert synchronize_batch_norm(model, device=GPU) is model
    assert wrap_for_processes(model, device=CPU, ddp={}) is model
    assert unwrap(model) is model
    broadcast_buffers(model)


def test_of_several_processes_batch_norm_is_synchronized_on_gpus_and_cpus_need_gloo(monkeypatch):
    monkeypatch.setattr(comm, "get_world_size", lambda: 2)
    assert isinstance(synchronize_batch_norm(TinyDetector(), device=GPU).bn, nn.SyncBatchNorm)
    assert type(synchronize_batch_norm(TinyDetector(), device=CPU).bn) is nn.BatchNorm2d
    monkeypatch.setattr(dist, "get_backend", lambda: dist.Backend.NCCL)
    with pytest.raises(UserError, match=r"CUDA_VISIBLE_DEVICES=''"):
        wrap_for_processes(TinyDetector(), device=CPU, ddp={})
