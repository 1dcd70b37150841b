"""Several processes: starting them, and what they need of a model.

torchrun's environment or detectron2's `launch` starts the processes of a run. They share one
gradient, one BN where torch can synchronize it, and evaluate one model.
"""

import logging
import multiprocessing
import os
import re
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from detectron2.engine import launch as detectron2_launch
from detectron2.engine.defaults import create_ddp_model
from detectron2.engine.launch import DEFAULT_TIMEOUT
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger
from torch import distributed as dist
from torch import nn
from torch.multiprocessing import ProcessExitedException

from acnet.errors import UserError, printable

logger = logging.getLogger(__name__)

_TORCHRUN_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR")


def launch(main: Callable[[Namespace], None], args: Namespace) -> None:
    """Run a function in as many processes as the command line or torchrun asks for.

    Under torchrun its environment decides the ranks. Otherwise `args.num_gpus` processes are
    started on each of `args.num_machines` machines; on a machine without a GPU they share the CPU.

    New processes import the function, and call it with `args`.

    Raises:
        SystemExit: with 2 after a UserError, whose message is printed without a traceback, and
            with the code of a process that ended itself by one.
    """
    try:
        if all(name in os.environ for name in _TORCHRUN_VARIABLES):
            _join_torchrun(main, args)
        else:
            _start_processes(main, args)
    except UserError as error:
        _exit_with(error)


def _join_torchrun(main: Callable[[Namespace], None], args: Namespace) -> None:
    world_size = int(os.environ["WORLD_SIZE"])
    local_rank, local_size = (int(os.environ[f"LOCAL_{name}"]) for name in ("RANK", "WORLD_SIZE"))
    _check_gpu_count(local_size, "torchrun --nproc-per-node")
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank)
    if world_size > 1:
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, init_method="env://", timeout=DEFAULT_TIMEOUT)
        comm.create_local_process_group(local_size)
    _run_in_process(main, args)
    if world_size > 1:
        dist.destroy_process_group()


def _start_processes(main: Callable[[Namespace], None], args: Namespace) -> None:
    num_processes = max(1, args.num_gpus)  # detectron2's users write 0 for a CPU
    _check_gpu_count(num_processes, "--num-gpus")
    spawns = num_processes * args.num_machines > 1
    if spawns and not torch.cuda.is_available():
        setup_logger(name="acnet")
        logger.info("No GPU here: %d processes share the CPU (gloo).", num_processes)
    with _pass_on_sigterm() if spawns else nullcontext():
        detectron2_launch(
            _run_in_process,
            num_processes,
            num_machines=args.num_machines,
            machine_rank=args.machine_rank,
            dist_url=args.dist_url,
            args=(main, args),
        )


def _check_gpu_count(num_processes: int, option: str) -> None:
    if torch.cuda.is_available() and num_processes > torch.cuda.device_count():
        raise UserError(
            "Each process needs a GPU of its own, and this machine shows "
            f"{torch.cuda.device_count()}. Received {option}={num_processes}. Ask for at most "
            f"{torch.cuda.device_count()}, or check CUDA_VISIBLE_DEVICES."
        )


@contextmanager
def _pass_on_sigterm() -> Iterator[None]:
    """Let processes that get SIGTERM end in their own way, and end with the code of the first."""

    def pass_on(signum: int, frame: object) -> None:
        for process in multiprocessing.active_children():
            process.terminate()

    previous = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield
    except ProcessExitedException as error:
        raise SystemExit(error.exit_code) from error
    finally:
        signal.signal(signal.SIGTERM, previous)


def _run_in_process(main: Callable[[Namespace], None], args: Namespace) -> None:
    _share_cpu()
    if "fork" in multiprocessing.get_all_start_methods():
        # detectron2's launch spawns, and Python hands that on: each new loader, thus each
        # evaluation, would import everything anew in its workers, which takes many seconds.
        multiprocessing.set_start_method("fork", force=True)
    try:
        main(args)
    except UserError as error:
        _exit_with(error)


def _share_cpu() -> None:
    """Split the CPU's cores among the processes that compute on it, or they slow each other."""
    processes = comm.get_local_size()
    if processes > 1 and not torch.cuda.is_available() and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // processes))


def _exit_with(error: UserError) -> None:
    name = "error" if comm.is_main_process() else f"error in process {comm.get_rank()}"
    # Of an error in a loader's process torch makes one that ends with the traceback there.
    text = re.sub(r"Caught .*\n[\w.]+Error: ", "", f"{error}", flags=re.DOTALL).strip()
    sys.stderr.write(f"{name}: {printable(text)}\n")
    raise SystemExit(2) from error


def first_alone(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in the first process, and return or raise in all what it returns or refuses.

    Raises:
        UserError: The function raised it.
    """
    told = None
    if comm.is_main_process():
        try:
            told = function(*args)
        except UserError as error:
            told = error
    told = comm.all_gather(told)[0]
    if isinstance(told, UserError):
        raise told
    return told


def synchronize_batch_norm(model: nn.Module, *, device: torch.device) -> nn.Module:
    """Let BN layers take their statistics over all processes' images, where torch can.

    SyncBN exists on CUDA only: processes on a CPU keep plain BN.
    """
    if device.type != "cuda":
        logger.info("SyncBN needs CUDA: each CPU process normalizes over its own images.")
        return model
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)


def wrap_for_processes(model: nn.Module, *, device: torch.device, ddp: Any) -> nn.Module:
    """Wrap a model so that its gradients are averaged over all processes, if there are several.

    `ddp` holds keyword arguments of DistributedDataParallel, and `fp16_compression`.

    Raises:
        UserError: a CPU model in processes that were connected for GPUs.
    """
    if comm.get_world_size() == 1:
        return model
    if device.type == "cpu" and dist.get_backend() == dist.Backend.NCCL:
        raise UserError(
            "Processes on a machine with GPUs talk through NCCL, which cannot carry a CPU model. "
            "Received train.device=cpu. Hide the GPUs with CUDA_VISIBLE_DEVICES='', or set "
            "train.device=auto."
        )
    device_ids = None if device.type == "cpu" else [comm.get_local_rank()]
    return create_ddp_model(model, device_ids=device_ids, **ddp)


def unwrap(model: nn.Module) -> nn.Module:
    """Give the model inside a DistributedDataParallel, or the model itself."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def broadcast_buffers(model: nn.Module) -> None:
    """Give every process the buffers of the first, such as its BN statistics.

    Plain BN lets them drift apart; without this, each process would evaluate another model.
    """
    if comm.get_world_size() == 1:
        return
    for buffer in model.buffers():
        dist.broadcast(buffer, src=0)
