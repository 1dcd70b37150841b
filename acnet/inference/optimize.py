"""A detector as it computes fastest: what training needs and prediction does not is taken out.

The weights on disk and their meaning stay as they are. Each change is a switch, so that each can be
measured (benchmarks/inference.py) and tested on its own.
"""

import copy
import functools
import inspect
import logging
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from detectron2.modeling.backbone.resnet import BasicBlock, BottleneckBlock
from detectron2.modeling.meta_arch import GeneralizedRCNN
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.proposal_generator.rpn import StandardRPNHead
from detectron2.modeling.roi_heads import StandardROIHeads
from torch import Tensor, nn

from acnet.inference.engines import NOTHING, Optimizations
from acnet.modeling import (
    ACNet,
    BestFirstRPN,
    DynamicFeatureFusion,
    Float32RPNHead,
    StreamlinedInception,
)
from acnet.modeling.cuda_graphs import replay_in_prediction
from acnet.modeling.heads import RES5_HEADS, SoftNMSOutputLayers
from acnet.modeling.poolers import skip_unread_bins
from acnet.modeling.resnet import scale_and_shift

__all__ = ["NOTHING", "Optimizations", "optimize_for_inference"]

_CONSTANT_NORMS = (FrozenBatchNorm2d, nn.modules.batchnorm._BatchNorm)
# Boxes that go through res5 at once: its largest map is then 6 MB in bfloat16. With 300 boxes it is
# 60 MB, and the convolution that writes it took 1.7 times as long.
_CHUNK = 32
_FUSED = (torch.bfloat16, torch.float16)
_LARGE = 30_000_000  # weights

logger = logging.getLogger(__name__)


def optimize_for_inference(
    model: nn.Module,
    *,
    dtype: torch.dtype | None = None,
    optimizations: Optimizations | None = None,
) -> nn.Module:
    """Make a faster copy of a detector, for prediction only.

    Args:
        model: in evaluation mode, on its device; it is left as it is. What is no `GeneralizedRCNN`,
            as `ACNet` is, gets its normalisation folded and no more.
        dtype: what autocast will compute with around the copy; None for float32 without autocast.
        optimizations: by default `Optimizations()`.

    Returns:
        The copy, which gives the same detections but for rounding, takes the same inputs and has
        the same parts by name, so `backbone.saliency` works. It cannot be trained, and its weights
        are not to be saved.

    Raises:
        ValueError: the model is in training mode.
    """
    if model.training:
        raise ValueError(
            "A model is optimised for prediction, with its statistics fixed. Received one in "
            "training mode; call model.eval() first."
        )
    chosen = Optimizations() if optimizations is None else optimizations
    model = copy.deepcopy(model).requires_grad_(False)
    device = next(model.parameters()).device.type
    on_cpu, on_gpu = device == "cpu", device == "cuda"
    dtype = torch.float32 if dtype is None else dtype
    if chosen.fold_norms:
        logger.debug("normalisation of %d layers folded", fold_norms(model))
    if not isinstance(model, GeneralizedRCNN):
        return model
    if chosen.best_proposals_first and type(model.proposal_generator) is RPN:
        model.proposal_generator = _best_first(model.proposal_generator)
    has_res5 = type(model.roi_heads) in RES5_HEADS
    if chosen.skip_unread_bins and has_res5:
        skip_unread_bins(model.roi_heads)
    if chosen.cast_weights and dtype != torch.float32:
        for part, part_dtype in _parts(model, dtype):
            _cast(part, part_dtype)
    if chosen.channels_last and dtype != torch.float32:
        model.to(memory_format=torch.channels_last)
        if isinstance(model, ACNet):
            model.channels_last = True  # the picture is brought into the format once
    if chosen.chunk_boxes and on_cpu and has_res5:
        model.roi_heads.res5 = ChunkedStage(model.roi_heads.res5)
    if chosen.compile:
        model.backbone.compile()
    if chosen.fuse_activations and on_gpu and dtype in _FUSED:
        average_last(model)
        add_biases_last(model)
        logger.debug("%d blocks and layers fused with their ReLU", fuse_activations(model))
    if chosen.cuda_graphs and on_gpu and not chosen.compile:
        replay_in_prediction(model.backbone)
        head = getattr(model.proposal_generator, "rpn_head", None)
        if isinstance(head, StandardRPNHead):
            replay_in_prediction(head)
    if chosen.take_turns and on_gpu:
        model.takes_turns = can_take_turns(model)
    return model


def can_take_turns(model: GeneralizedRCNN) -> bool:
    """Whether a model gains by turns: it keeps a GPU busier than the host, and its parts give way.

    On an H200, eight pictures by R-101 took 32.4 ms in turns and 37.1 without, and by R-18, of
    8 million weights, 20.1 and 17.7 ms.
    """
    heads = model.roi_heads
    return (
        isinstance(model, ACNet)
        and isinstance(model.proposal_generator, BestFirstRPN)
        and hasattr(heads, "predictions")
        and isinstance(heads.box_predictor, SoftNMSOutputLayers)
        and sum(one.numel() for one in model.parameters()) >= _LARGE
    )


def average_last(model: nn.Module) -> None:
    """Let MAMA's pooling branch convolve first: the two commute, and fewer channels are averaged.

    A branch whose norm is not folded stays as it is.
    """
    for module in model.modules():
        if isinstance(module, StreamlinedInception):
            pool, (conv,) = module.branch_pool
            if conv.norm is None:
                conv.activation = None
                module.branch_pool = nn.Sequential(conv, pool, nn.ReLU())


def add_biases_last(model: nn.Module) -> None:
    """Let each DCE add the biases of its convolutions to the mix of their maps, not to each map."""
    for module in model.modules():
        if isinstance(module, DynamicFeatureFusion):
            biases = torch.cat([conv.bias for conv in module.convs])
            module.late_biases = biases[:, None, None]
            for conv in module.convs:
                conv.bias = None


def fuse_activations(model: nn.Module) -> int:
    """Let one cuDNN kernel convolve, add the bias or the shortcut too, and apply ReLU.

    Blocks and layers with a norm stay as they are; how many were changed is returned.
    """
    count = 0
    for module in model.modules():
        if isinstance(module, BottleneckBlock | BasicBlock):
            convs = [layer for layer in module.children() if isinstance(layer, Conv2d)]
            forward = _block if all(map(_can_fuse, convs)) else None
            if forward is not None:
                _move_bias_of_shortcut(module)
        else:
            has_relu = isinstance(module, Conv2d) and _is_relu(module.activation)
            forward = _with_relu if has_relu and _can_fuse(module) else None
        if forward is not None:
            module.forward = functools.partial(forward, module)
            count += 1
    return count


def _is_relu(activation: object) -> bool:
    return isinstance(activation, nn.ReLU) or activation in (F.relu, F.relu_)


def _can_fuse(conv: Conv2d) -> bool:
    return type(conv) is Conv2d and conv.norm is None and conv.weight.dtype in _FUSED


def _last(block: BottleneckBlock | BasicBlock) -> Conv2d:
    return block.conv3 if isinstance(block, BottleneckBlock) else block.conv2


def _move_bias_of_shortcut(block: BottleneckBlock | BasicBlock) -> None:
    """Let the block's last kernel add it, which adds a bias in any case."""
    shortcut = block.shortcut
    if shortcut is not None and shortcut.bias is not None:
        last = _last(block)
        last.bias = _constant(last.bias.float() + shortcut.bias.float(), like=last.bias)
        shortcut.bias = None


def _block(block: BottleneckBlock | BasicBlock, x: Tensor) -> Tensor:
    shortcut = x if block.shortcut is None else block.shortcut(x)
    last = _last(block)
    inner = _with_relu(block.conv1, x)
    if last is not block.conv2:
        inner = _with_relu(block.conv2, inner)
    settings = (last.bias, last.stride, last.padding, last.dilation, last.groups)
    return torch.cudnn_convolution_add_relu(inner, last.weight, shortcut, 1.0, *settings)


def _with_relu(conv: Conv2d, x: Tensor) -> Tensor:
    settings = (conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)
    return torch.cudnn_convolution_relu(x.to(conv.weight.dtype), conv.weight, *settings)


def _best_first(rpn: RPN) -> BestFirstRPN:
    """Our form of detectron2's own RPN, around the same layers."""
    names = inspect.signature(RPN).parameters.keys() - {"head", "pre_nms_topk", "post_nms_topk"}
    return BestFirstRPN(
        head=rpn.rpn_head,
        pre_nms_topk=(rpn.pre_nms_topk[True], rpn.pre_nms_topk[False]),
        post_nms_topk=(rpn.post_nms_topk[True], rpn.post_nms_topk[False]),
        **{name: getattr(rpn, name) for name in names},
    ).eval()


def _parts(model: GeneralizedRCNN, dtype: torch.dtype) -> Iterator[tuple[nn.Module, torch.dtype]]:
    """The layers that follow autocast, with their precision; box predictors stay in float32."""
    yield model.backbone, dtype
    head = getattr(model.proposal_generator, "rpn_head", None)
    if isinstance(head, StandardRPNHead):
        yield head.conv, dtype
        predictions = torch.float32 if isinstance(head, Float32RPNHead) else dtype
        yield head.objectness_logits, predictions
        yield head.anchor_deltas, predictions
    if type(model.roi_heads) in RES5_HEADS:
        yield model.roi_heads.res5, dtype
    elif isinstance(model.roi_heads, StandardROIHeads):
        yield model.roi_heads.box_head, dtype


def _cast(part: nn.Module, dtype: torch.dtype) -> None:
    for layer in part.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.data = layer.weight.data.to(dtype)
            if layer.bias is not None:
                layer.bias.data = layer.bias.data.to(dtype)


@torch.no_grad()
def fold_norms(model: nn.Module) -> int:
    """Fold the batch normalisation of detectron2's `Conv2d` layers into their weights, in place.

    `norm(conv(x))` is one affine map while the statistics stand still, so the outputs are the
    same but for rounding. Layers of other kinds of normalisation stay as they are.

    Returns:
        How many layers were folded.

    Raises:
        ValueError: the model is in training mode, in which the statistics move.
    """
    if model.training:
        raise ValueError(
            "Normalisation is folded into weights while its statistics stand still. Received a "
            "model in training mode; call model.eval() first."
        )
    layers = [
        layer
        for layer in model.modules()
        if isinstance(layer, Conv2d) and isinstance(layer.norm, _CONSTANT_NORMS)
    ]
    for layer in layers:
        scale, shift = scale_and_shift(layer.norm)
        weight = layer.weight.float()
        bias = shift if layer.bias is None else shift + scale * layer.bias.float()
        layer.weight = _constant(weight * scale[:, None, None, None], like=layer.weight)
        layer.bias = _constant(bias, like=layer.weight)
        layer.norm = None
    return len(layers)


def _constant(value: Tensor, *, like: Tensor) -> nn.Parameter:
    return nn.Parameter(value.to(like.dtype), requires_grad=False)


class ChunkedStage(nn.Module):
    """A stage of a ResNet as box head, a few boxes at a time, averaged over their bins."""

    def __init__(self, stage: nn.Module, chunk: int = _CHUNK):
        """Take a stage, from pooled maps to maps, and how many boxes go through it at once."""
        super().__init__()
        self.stage = stage
        self.chunk = chunk

    def forward(self, pooled: Tensor) -> Tensor:
        """Return (R, C', 1, 1) of (R, C, P, P): the mean over bins that `Res5ROIHeads` takes."""
        chunks = pooled.split(self.chunk)  # one empty chunk where there are no boxes
        return torch.cat([self.stage(chunk).mean(dim=(2, 3), keepdim=True) for chunk in chunks])
