"""What a training step holds, found without holding anything.

The step runs on fake tensors, which have shapes and no numbers: each is weighed from its making
until it is freed.
"""

import contextlib
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .activation_checkpointing import checkpoint_activations
from .meta_arch import ACNet

__all__ = ["StepCost", "StepOptions", "step_cost"]


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """How a step is computed.

    Args:
        image_hw: height and width of the images in pixels.
        images: that go through the model at once.
        parts: how often they do so before the optimizer steps (`train.accumulate`).
        amp: convolutions in bfloat16 or float16.
        checkpointing: blocks are computed again in the backward pass.
    """

    image_hw: tuple[int, int] = (640, 640)
    images: int = 2
    parts: int = 1
    amp: bool = False
    checkpointing: bool = False


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """What a step takes beside what `count_macs_by_layer` counts.

    Args:
        peak_bytes: most that is held at any time: weights, gradients, the momentum of SGD,
            activations and temporary tensors. Without the libraries' workspaces, what the allocator
            keeps unused and the device's context.
        recomputed_macs: of an image, in the backward pass, by checkpointing.
    """

    peak_bytes: int
    recomputed_macs: int


def step_cost(build: Callable[[], ACNet], options: StepOptions) -> StepCost:
    """Weighs a training step of a detector.

    Not in it: anchors, matching, sampling, proposals' NMS and losses, which hold little beside the
    feature maps. The ROI heads get as many boxes as they sample in training.

    Args:
        build: makes the model, such as `functools.partial(instantiate, cfg.model)`, in the default
            memory format: channels_last weighs the same, and fake weights cannot be converted.
        options: of the step.

    Returns:
        Its cost.
    """
    with FakeTensorMode(), _LiveBytes() as live:
        model = build().eval()  # BN holds the same in evaluation, and has no statistics to update
        if options.checkpointing:
            checkpoint_activations(model)
        recomputed = _count_recomputed(model)
        for _ in range(options.parts):
            _run(model, options)
    momentum = sum(p.numel() * 4 for p in model.parameters() if p.requires_grad)
    return StepCost(
        peak_bytes=live.peak + momentum,
        recomputed_macs=sum(recomputed) // (options.images * options.parts),
    )


def _count_recomputed(model: nn.Module) -> list[int]:
    """Returns a list that fills with the multiply-accumulates of forward passes within backward."""
    recomputed: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if torch._C._current_graph_task_id() != -1:  # the autograd engine is running
            recomputed.append(output.numel() * layer.weight[0].numel())

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    return recomputed


def _run(model: ACNet, options: StepOptions) -> None:
    """One forward and backward pass of everything that convolves."""
    height, width = options.image_hw
    autocast = torch.autocast("cpu", torch.bfloat16) if options.amp else contextlib.nullcontext()
    with autocast:
        features = model.backbone(torch.empty(options.images, 3, height, width))["p3"]
        outputs = tree_leaves(model.proposal_generator.rpn_head([features]))
        heads = model.roi_heads
        boxes = options.images * heads.batch_size_per_image
        outputs += tree_leaves(_box_outputs(heads, _pooled(heads, features, boxes)))
    sum(output.float().sum() for output in outputs).backward()


def _pooled(heads: nn.Module, features: Tensor, boxes: int) -> Tensor:
    """(boxes, C, h, w) float32, as large as what pooling gives, and its gradient goes back."""
    size = (heads.pooler if hasattr(heads, "res5") else heads.box_pooler).output_size
    means = features.float().mean(dim=(0, 2, 3))
    return means[None, :, None, None].expand(boxes, -1, *size).contiguous()


def _box_outputs(heads: nn.Module, pooled: Tensor) -> tuple[Tensor, ...]:
    if hasattr(heads, "res5"):
        return heads.box_predictor(heads.res5(pooled).mean(dim=(2, 3)))
    return heads.box_predictor(heads.box_head(pooled))


class _LiveBytes(TorchDispatchMode):
    """Weighs all storages that are alive."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor):
                self._watch(tensor.untyped_storage())
        return output

    def _watch(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size
