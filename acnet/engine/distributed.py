"""What several processes need of a model: one gradient, one BN, one model to evaluate."""

import logging
from typing import Any

import torch
from detectron2.engine.defaults import create_ddp_model
from detectron2.utils import comm
from torch import distributed as dist
from torch import nn

from acnet.errors import UserError

logger = logging.getLogger(__name__)


def synchronize_batch_norm(model: nn.Module, *, device: torch.device) -> nn.Module:
    """Let BN layers take their statistics over all processes' images, where torch can.

    Args:
        model: with BN layers, or none.
        device: where the model is. SyncBN exists on CUDA only; a CPU keeps plain BN.

    Returns:
        The model, with SyncBN on several CUDA processes and unchanged otherwise.
    """
    if comm.get_world_size() == 1:
        return model
    if device.type != "cuda":
        logger.info("SyncBN needs CUDA: each CPU process normalizes over its own images.")
        return model
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)


def wrap_for_processes(model: nn.Module, *, device: torch.device, ddp: Any) -> nn.Module:
    """Wrap a model so that its gradients are averaged over all processes.

    Args:
        model: on its device.
        device: where it is.
        ddp: keyword arguments of DistributedDataParallel, and `fp16_compression`.

    Returns:
        The wrapped model, or the model itself where there is one process.

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

    Args:
        model: the same in all processes.
    """
    if comm.get_world_size() == 1:
        return
    for buffer in model.buffers():
        dist.broadcast(buffer, src=0)
