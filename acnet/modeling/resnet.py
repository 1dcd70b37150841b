"""ResNets of any width: detectron2's stages for a CPU, and their frozen norms in training."""

import functools
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode
from detectron2.layers import CNNBlockBase, Conv2d, FrozenBatchNorm2d
from detectron2.modeling.backbone import ResNet
from detectron2.modeling.backbone.resnet import BasicBlock, BottleneckBlock
from torch import Tensor, nn

_BLOCKS_PER_STAGE = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class DilatedBasicBlock(BasicBlock):
    """`BasicBlock` with detectron2's `dilation` for bottlenecks. NOT IN PAPER: for small R-FCNs."""

    def __init__(self, in_channels: int, out_channels: int, *, dilation: int = 1, **kwargs):
        """Arguments as for `BasicBlock`, and the dilation of both 3x3 convolutions."""
        super().__init__(in_channels, out_channels, **kwargs)
        for conv in (self.conv1, self.conv2):
            conv.dilation = conv.padding = (dilation, dilation)


def block_arguments(cfg: CfgNode) -> dict:
    """What a yaml config says of a ResNet's blocks, as arguments for `make_resnet_stage`."""
    resnets = cfg.MODEL.RESNETS
    # A basic block has no 1x1 to stride in.
    bottleneck = {"stride_in_1x1": resnets.STRIDE_IN_1X1} if resnets.DEPTH >= 50 else {}
    return {"norm": resnets.NORM, **bottleneck}


def make_resnet_stages(
    depth: int, *, stem_channels: int = 64, num_stages: int = 3, **kwargs
) -> list[list[CNNBlockBase]]:
    """Build the blocks of the first stages (res2 and on) of a ResNet, for each stage a list.

    `ResNet.make_default_stages` fixes the widths; here they follow the stem.

    Args:
        depth: 18, 34, 50 or 101.
        stem_channels: channels of the stem; res2 has as many (18, 34) or four times (50, 101).
        num_stages: how many stages; 3 ends with res4.
        kwargs: for each block, such as `norm` or `stride_in_1x1`.

    Raises:
        ValueError: for an unknown depth.
    """
    return [
        make_resnet_stage(depth, stage, stem_channels=stem_channels, **kwargs)
        for stage in range(2, 2 + num_stages)
    ]


def make_resnet_stage(
    depth: int, stage: int, *, stem_channels: int = 64, dilation: int = 1, **kwargs
) -> list[CNNBlockBase]:
    """One stage of a ResNet: `make_resnet_stage(101, 5)` is the box head of a C4 detector.

    Dilated by 2, a stage that strides in a 1x1 convolution gives at every second cell what it gives
    with its stride, so ImageNet weights mean the same.

    Args:
        depth, stem_channels, kwargs: see `make_resnet_stages`.
        stage: 2 to 5.
        dilation: of the 3x3 convolutions; above 1 the stage keeps the size of its input, as with
            detectron2's RES5_DILATION.

    Returns:
        Its blocks; the first one halves the size, but for stage 2.

    Raises:
        ValueError: for an unknown depth or stage.
    """
    if depth not in _BLOCKS_PER_STAGE or stage not in (2, 3, 4, 5):
        raise ValueError(
            f"Depths are {tuple(_BLOCKS_PER_STAGE)} and stages 2 to 5. "
            f"Received depth={depth}, stage={stage}."
        )
    is_basic = depth < 50
    expansion = 1 if is_basic else 4
    bottleneck_channels = stem_channels * 2 ** (stage - 2)
    num_blocks = _BLOCKS_PER_STAGE[depth][stage - 2]
    if not is_basic:
        kwargs["bottleneck_channels"] = bottleneck_channels
    return ResNet.make_stage(
        DilatedBasicBlock if is_basic else BottleneckBlock,
        num_blocks,
        stride_per_block=[1 if stage == 2 or dilation > 1 else 2] + [1] * (num_blocks - 1),
        dilation=dilation,
        in_channels=stem_channels if stage == 2 else bottleneck_channels // 2 * expansion,
        out_channels=bottleneck_channels * expansion,
        **kwargs,
    )


def scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Write a norm with fixed statistics as `scale * x + shift`, two (C,) float32."""
    scale = (norm.running_var.float() + norm.eps).rsqrt()
    shift = -norm.running_mean.float() * scale
    if norm.weight is not None:
        scale, shift = scale * norm.weight.float(), shift * norm.weight.float()
    if norm.bias is not None:
        shift = shift + norm.bias.float()
    return scale, shift


def fold_frozen_norms(model: nn.Module) -> int:
    """Let the blocks of ResNets scale their weights in training, rather than their maps.

    A frozen norm after a convolution is the same convolution with other weights. Losses and
    gradients are the same but for rounding, and so is what is saved; without gradients nothing
    changes. On a GPU, in the low precision of AMP, bias, shortcut and ReLU are then part of the
    convolution's kernel.

    Returns:
        How many blocks, those with `FrozenBN` throughout, were changed in place.
    """
    forwards = (BottleneckBlock.forward, BasicBlock.forward)
    blocks = [one for one in model.modules() if type(one).forward in forwards]
    blocks = [block for block in blocks if all(map(_is_frozen, block.children()))]
    for block in blocks:
        block.forward = functools.partial(_folded, block)
    return len(blocks)


def _is_frozen(layer: nn.Module) -> bool:
    return type(layer) is Conv2d and type(layer.norm) is FrozenBatchNorm2d and layer.bias is None


def _folded(block: nn.Module, x: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return type(block).forward(block, x)
    shortcut = x if block.shortcut is None else _convolve(block.shortcut, x)
    *first, last = (
        getattr(block, name) for name in ("conv1", "conv2", "conv3") if hasattr(block, name)
    )
    for conv in first:
        x = _convolve(conv, x, activates=True)
    return _convolve(last, x, shortcut, activates=True)


def _convolve(
    conv: Conv2d, x: Tensor, shortcut: Tensor | None = None, *, activates: bool = False
) -> Tensor:
    """Convolve with the weights that make the norm needless; then add the shortcut, then ReLU."""
    scale, shift = scale_and_shift(conv.norm)
    weight = conv.weight * scale[:, None, None, None]
    settings = (conv.stride, conv.padding, conv.dilation, conv.groups)
    kind = x.device.type
    if activates and kind == "cuda" and torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        shortcut = shortcut if shortcut is None else shortcut.to(dtype)
        return _FusedConvolution.apply(
            x.to(dtype), weight.to(dtype), shift.to(dtype), shortcut, settings
        )
    x = F.conv2d(x, weight, shift.to(weight.dtype), *settings)
    if shortcut is not None:
        x += shortcut
    return F.relu_(x) if activates else x


class _FusedConvolution(torch.autograd.Function):
    """A convolution with bias, shortcut and ReLU as one kernel of cuDNN; the bias is constant."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, shortcut: Tensor | None, settings: tuple
    ) -> Tensor:
        if shortcut is None:
            output = torch.cudnn_convolution_relu(x, weight, bias, *settings)
        else:
            output = torch.cudnn_convolution_add_relu(x, weight, shortcut, 1.0, bias, *settings)
        ctx.save_for_backward(x, weight, output)
        ctx.settings = settings
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, output = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.settings
        gradient = torch.ops.aten.threshold_backward(gradient, output, 0)
        of_x, of_weight, _, of_shortcut, _ = ctx.needs_input_grad
        x_gradient, weight_gradient, _ = torch.ops.aten.convolution_backward(
            gradient,
            x,
            weight,
            None,
            stride,
            padding,
            dilation,
            False,
            [0, 0],
            groups,
            [of_x, of_weight, False],
        )
        return x_gradient, weight_gradient, None, gradient if of_shortcut else None, None
