"""Starting processes and joining them, as far as one can show it; see test_train_net.py too."""

import logging
import multiprocessing
import signal
import sys
from argparse import Namespace

import pytest
import torch
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger
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
ARGS = Namespace(num_gpus=1, num_machines=1, machine_rank=0, dist_url="auto")


@pytest.fixture(autouse=True)
def _own_logger():
    yield
    logger = logging.getLogger("acnet")
    logger.handlers.clear()
    logger.propagate = True
    setup_logger.cache_clear()


@pytest.fixture
def _four_gpus(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


@pytest.mark.parametrize("num_gpus", [0, 1])
def test_one_process_calls_the_function_here(num_gpus: int):
    calls = []
    args = Namespace(**{**vars(ARGS), "num_gpus": num_gpus})
    launch(calls.append, args)
    assert calls == [args]


def test_workers_of_loaders_are_forked_though_processes_are_spawned():
    multiprocessing.set_start_method("spawn", force=True)  # as in a process that was spawned
    methods = []

    def look(args: Namespace) -> None:
        methods.append(multiprocessing.get_start_method())

    launch(look, ARGS)
    assert methods == ["fork"]


def test_a_user_error_is_printed_without_a_traceback(capsys: pytest.CaptureFixture):
    def fail(args: Namespace) -> None:
        raise UserError("Do this.")

    with pytest.raises(SystemExit) as ended:
        launch(fail, ARGS)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: Do this.\n"


def test_other_errors_keep_their_traceback():
    def fail(args: Namespace) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        launch(fail, ARGS)


@pytest.mark.usefixtures("_four_gpus")
def test_more_gpus_than_there_are_is_an_error(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(SystemExit):
        launch(print, Namespace(**{**vars(ARGS), "num_gpus": 5}))
    assert "Received --num-gpus=5. Ask for at most 4" in capsys.readouterr().err
    for name, value in {"RANK": 4, "LOCAL_RANK": 4, "WORLD_SIZE": 5, "LOCAL_WORLD_SIZE": 5}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    with pytest.raises(SystemExit):
        launch(print, ARGS)
    assert "Received torchrun --nproc-per-node=5" in capsys.readouterr().err


def test_torchruns_environment_decides(monkeypatch: pytest.MonkeyPatch):
    environment = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1, "LOCAL_WORLD_SIZE": 1}
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setattr(MODULE, "detectron2_launch", None)  # would be an error to call
    calls = []
    launch(calls.append, Namespace(**{**vars(ARGS), "num_gpus": 8}))
    assert len(calls) == 1


def test_the_exit_code_of_a_process_becomes_ours(monkeypatch: pytest.MonkeyPatch):
    def end(*args, **kwargs) -> None:
        raise ProcessExitedException("ended", 0, 0, exit_code=143)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(MODULE, "detectron2_launch", end)
    with pytest.raises(SystemExit) as ended:
        launch(print, Namespace(**{**vars(ARGS), "num_gpus": 2}))
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before


CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def _two_processes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(comm, "get_world_size", lambda: 2)


def test_one_process_changes_nothing():
    model = TinyDetector()
    assert synchronize_batch_norm(model, device=GPU) is model
    assert wrap_for_processes(model, device=CPU, ddp={}) is model
    assert unwrap(model) is model
    broadcast_buffers(model)


@pytest.mark.usefixtures("_two_processes")
def test_batch_norm_is_synchronized_on_gpus_only():
    on_gpu = synchronize_batch_norm(TinyDetector(), device=GPU)
    assert isinstance(on_gpu.bn, nn.SyncBatchNorm)
    on_cpu = synchronize_batch_norm(TinyDetector(), device=CPU)
    assert type(on_cpu.bn) is nn.BatchNorm2d


@pytest.mark.usefixtures("_two_processes")
def test_a_cpu_model_over_nccl_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dist, "get_backend", lambda: dist.Backend.NCCL)
    with pytest.raises(UserError, match=r"CUDA_VISIBLE_DEVICES=''"):
        wrap_for_processes(TinyDetector(), device=CPU, ddp={})
