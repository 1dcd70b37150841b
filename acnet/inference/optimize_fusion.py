"""Convolutions for a CPU that bring their bias, residual and ReLU along in one pass.

oneDNN, which computes torch's convolutions on a CPU, can add a map and cut off at zero before it
writes a result. torch offers that to its compiler as operators, `torch.ops.mkldnn`; called directly
they need neither a C++ compiler nor time to warm up, and take inputs of any size. Weights stay in
torch's own layout: oneDNN's depends on the size of the input, and packed for another size a 1x1
convolution of ResNet-101 took seven times as long (benchmarks/inference.py measures what is left).
"""

import torch
import torch.nn.functional as F
from detectron2.layers import Conv2d
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem, BottleneckBlock
from torch import Tensor, nn

__all__ = ["FusedBlock", "FusedConv2d", "FusedStem", "can_fuse", "fuse_convolutions"]

_OPERATORS = ("_convolution_pointwise", "_convolution_pointwise_")
_MEMORY_FORMAT = torch.channels_last


def can_fuse() -> bool:
    """Tell whether this build of torch has oneDNN's fused convolutions."""
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name) for name in _OPERATORS
    )


class FusedConv2d(nn.Module):
    """A convolution with bias, and perhaps a sum and a ReLU, in one pass over its output.

    It computes in the precision of its weights, whatever that of its input. For inference only.
    """

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype, *, relu: bool):
        """
        Args:
            conv: without normalisation; on the CPU.
            dtype: to compute with, float32 or bfloat16.
            relu: cut off at zero at the end.
        """
        super().__init__()
        weight = conv.weight.detach().to(dtype, memory_format=_MEMORY_FORMAT)
        bias = None if conv.bias is None else conv.bias.detach().to(dtype)
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self._relu = "relu" if relu else None
        self._geometry = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)

    def forward(self, x: Tensor) -> Tensor:
        """
        Args:
            x: (B, C, H, W).

        Returns:
            (B, out_channels, H', W'), channels last.
        """
        return torch.ops.mkldnn._convolution_pointwise(
            self._ready(x), self.weight, self.bias, *self._geometry, self._relu or "none", [], ""
        )

    def add_to(self, other: Tensor, x: Tensor) -> Tensor:
        """Add the convolution of `x` to `other` in place, then cut off at zero where it does that.

        Args:
            other: (B, out_channels, H', W'), channels last, in the precision of the weights.
            x: (B, C, H, W).

        Returns:
            `other`.
        """
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            other, self._ready(x), self.weight, self.bias, *self._geometry, *self._sum
        )

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """As `add_to`, but leave `other` as it is."""
        return torch.ops.mkldnn._convolution_pointwise.binary(
            self._ready(x), self._ready(other), self.weight, self.bias, *self._geometry, *self._sum
        )

    @property
    def _sum(self) -> tuple:
        return ("add", 1.0, self._relu, [], "")

    def _ready(self, x: Tensor) -> Tensor:
        return x.to(self.weight.dtype).contiguous(memory_format=_MEMORY_FORMAT)


class FusedBlock(nn.Module):
    """A residual block of detectron2's ResNets."""

    def __init__(self, block: BasicBlock | BottleneckBlock, dtype: torch.dtype):
        """
        Args:
            block: whose convolutions have no normalisation.
            dtype: as for `FusedConv2d`.
        """
        super().__init__()
        convs = [block.conv1, block.conv2, getattr(block, "conv3", None)]
        self.convs = nn.ModuleList(
            FusedConv2d(conv, dtype, relu=True) for conv in convs if conv is not None
        )
        self.shortcut = None
        if block.shortcut is not None:
            self.shortcut = FusedConv2d(block.shortcut, dtype, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Same as the block's own."""
        *first, last = self.convs
        y = x
        for conv in first:
            y = conv(y)
        if self.shortcut is None:
            return last.plus(y, x)
        return last.add_to(self.shortcut(x), y)


class FusedStem(nn.Module):
    """The stem of detectron2's ResNets."""

    def __init__(self, stem: BasicStem, dtype: torch.dtype):
        """
        Args:
            stem: whose convolution has no normalisation.
            dtype: as for `FusedConv2d`.
        """
        super().__init__()
        self.conv = FusedConv2d(stem.conv1, dtype, relu=True)

    def forward(self, image: Tensor) -> Tensor:
        """Same as the stem's own."""
        x = self.conv(image)
        if any(length % 2 for length in x.shape[2:]):
            return F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        return _pool_of_three(_pool_of_three(x, dim=2), dim=3)


def _pool_of_three(x: Tensor, dim: int) -> Tensor:
    """Max pooling along one side: kernel 3, stride 2, padding 1. In half the time of torch's."""
    even, odd = x.unflatten(dim, (-1, 2)).unbind(dim + 1)
    pooled = torch.maximum(even, odd)
    last = pooled.shape[dim] - 1
    after_first = pooled.narrow(dim, 1, last)
    torch.maximum(after_first, odd.narrow(dim, 0, last), out=after_first)
    return pooled


def fuse_convolutions(
    module: nn.Module, dtype: torch.dtype, fused: dict[nn.Module, nn.Module] | None = None
) -> nn.Module:
    """Replace the convolutions in a module, and the residual blocks that are made of them.

    What has a normalisation or an activation of another kind stays as it is.

    Args:
        module: on the CPU, its normalisation folded; it is changed.
        dtype: as for `FusedConv2d`.
        fused: what was replaced already, so that what is shared stays shared.

    Returns:
        The module, or what takes its place.
    """
    fused = {} if fused is None else fused
    if module not in fused:
        fused[module] = _replacement(module, dtype)
        if fused[module] is module:
            for name, child in module.named_children():
                setattr(module, name, fuse_convolutions(child, dtype, fused))
    return fused[module]


def _replacement(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    if type(module) in (BasicBlock, BottleneckBlock) and not _has_norm(module):
        return FusedBlock(module, dtype)
    if type(module) is BasicStem and not _has_norm(module):
        return FusedStem(module, dtype)
    if type(module) in (nn.Conv2d, Conv2d):
        return _fused_conv(module, dtype)
    return module


def _fused_conv(conv: nn.Conv2d, dtype: torch.dtype) -> nn.Module:
    activation = getattr(conv, "activation", None)
    is_plain = conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    if _has_norm(conv) or not is_plain or not isinstance(activation, nn.ReLU | None):
        return conv
    return FusedConv2d(conv, dtype, relu=activation is not None)


def _has_norm(module: nn.Module) -> bool:
    return any(getattr(layer, "norm", None) is not None for layer in module.modules())
