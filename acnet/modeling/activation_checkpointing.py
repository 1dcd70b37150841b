"""Activation checkpointing: less memory in training, for a second forward pass.

A block keeps its inputs only, and computes what lies inside it again when its gradient is wanted.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from detectron2.layers import CNNBlockBase
from torch import nn
from torch.nn.modules.batchnorm import _NormBase as BatchNorms
from torch.utils.checkpoint import checkpoint

from acnet.modeling.composite_backbone import CompositeConnection

from .attention_blocks import StreamlinedInception
from .dynamic_context_enhancement import DynamicFeatureFusion
from .feature_refinement import FeatureRefinement

_BLOCKS = (
    CNNBlockBase,  # of ResNets, res5 as box head among them
    CompositeConnection,
    FeatureRefinement,
    DynamicFeatureFusion,
    StreamlinedInception,
)


def checkpoint_activations(model: nn.Module) -> int:
    """Let a detector's blocks compute activations again in the backward pass; return how many.

    Losses, gradients and BN statistics stay the same bit for bit, and so do the names of weights;
    evaluation is not affected.

    Args:
        model: changed in place: its ResNet blocks, connections, fusions and inception network.
    """
    blocks = [module for module in model.modules() if isinstance(module, _BLOCKS)]
    for block in blocks:
        # An attribute rather than a wrapping module: names of weights stay. A partial rather than a
        # closure: a copy of the block gets a partial of the copy.
        plain = vars(block).get("forward", functools.partial(type(block).forward, block))
        block.forward = functools.partial(_forward, block, plain)
    return len(blocks)


def _forward(block: nn.Module, plain: Callable, *inputs: torch.Tensor) -> torch.Tensor:
    """What a block computes, checkpointed wherever gradients are wanted."""
    if not torch.is_grad_enabled():
        return plain(*inputs)
    return checkpoint(
        plain,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=False,  # no block draws random numbers
        context_fn=functools.partial(_contexts, block),
    )


def _contexts(block: nn.Module) -> tuple[AbstractContextManager, AbstractContextManager]:
    """What surrounds a block's first pass, and its second."""
    return nullcontext(), _statistics_left_alone(block)


@contextmanager
def _statistics_left_alone(block: nn.Module) -> Iterator[None]:
    """BN normalises as before, but counts the batch in copies of its statistics."""
    norms = [module for module in block.modules() if isinstance(module, BatchNorms)]
    kept = [dict(norm.named_buffers(recurse=False)) for norm in norms]
    for norm, buffers in zip(norms, kept, strict=True):
        for name, buffer in buffers.items():
            setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, buffers in zip(norms, kept, strict=True):
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)
