"""Fused convolutions: the same maps in one pass."""

import pytest
import torch
from detectron2.layers import Conv2d
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem, BottleneckBlock
from torch import nn

from acnet.inference.optimize_fusion import (
    FusedBlock,
    FusedConv2d,
    FusedStem,
    can_fuse,
    fuse_convolutions,
)

pytestmark = pytest.mark.skipif(not can_fuse(), reason="this torch has no oneDNN")

F32 = torch.float32


def _close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize(
    "block",
    [
        BasicBlock(8, 8, norm=""),
        BasicBlock(8, 16, stride=2, norm=""),
        BottleneckBlock(16, 16, bottleneck_channels=4, norm=""),
        BottleneckBlock(8, 16, bottleneck_channels=4, stride=2, stride_in_1x1=True, norm=""),
    ],
)
def test_blocks(block):
    x = torch.randn(2, block.in_channels, 9, 12).relu()
    before = x.clone()
    _close(FusedBlock(block, F32)(x), block(x.clone()))
    assert torch.equal(x, before)


@torch.inference_mode()
@pytest.mark.parametrize("image_hw", [(32, 48), (33, 50)])  # maps before pooling: even, and odd
def test_stem(image_hw):
    stem = BasicStem(out_channels=8, norm="")
    x = torch.randn(2, 3, *image_hw)
    _close(FusedStem(stem, F32)(x), stem(x))


@torch.inference_mode()
def test_sums():
    conv = nn.Conv2d(4, 6, 3, padding=1)
    x, other = torch.randn(1, 4, 5, 7), torch.randn(1, 6, 5, 7)
    other = other.to(memory_format=torch.channels_last)
    fused = FusedConv2d(conv, F32, relu=True)
    expected = (conv(x) + other).relu()
    before = other.clone()
    _close(fused.plus(x, other), expected)
    assert torch.equal(other, before)
    assert fused.add_to(other, x) is other
    _close(other, expected)


@torch.inference_mode()
def test_without_relu_values_stay_negative():
    conv = nn.Conv2d(4, 6, 1)
    x, other = torch.randn(1, 4, 5, 7), torch.randn(1, 6, 5, 7)
    fused = FusedConv2d(conv, F32, relu=False)
    _close(fused(x), conv(x))
    _close(fused.plus(x, other), conv(x) + other)


@torch.inference_mode()
def test_bfloat16_weights_take_float32_inputs():
    conv = nn.Conv2d(4, 6, 3, padding=1)
    x = torch.randn(1, 4, 5, 7)
    y = FusedConv2d(conv, torch.bfloat16, relu=False)(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), conv(x), rtol=0.02, atol=0.02)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [F32, torch.bfloat16])
def test_no_boxes(dtype):
    block = BottleneckBlock(8, 16, bottleneck_channels=4, norm="")
    assert FusedBlock(block, dtype)(torch.zeros(0, 8, 7, 7)).shape == (0, 16, 7, 7)


def test_what_cannot_be_fused_stays():
    layers = nn.Sequential(
        Conv2d(4, 4, 1, norm=nn.BatchNorm2d(4)),
        Conv2d(4, 4, 1, activation=nn.GELU()),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        BasicBlock(4, 4, norm="BN"),
    )
    expected = [type(layer) for layer in layers]
    fuse_convolutions(layers, F32)
    assert [type(layer) for layer in layers] == expected


def test_what_is_shared_stays_shared():
    conv = Conv2d(4, 4, 1, activation=nn.ReLU())
    pair = nn.ModuleDict({"one": nn.Sequential(conv), "two": nn.Sequential(conv)})
    fuse_convolutions(pair, F32)
    assert isinstance(pair["one"][0], FusedConv2d)
    assert pair["one"][0] is pair["two"][0]
