"""Box heads: the bins that are read, a few boxes at a time."""

import pytest
import torch
from detectron2.modeling.backbone.resnet import BottleneckBlock
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from torch import nn

from acnet.inference.optimize_roi import ChunkedStage, StridedPooler, skip_unread_bins

BOXES = [
    Boxes(torch.tensor([[3.0, 5.0, 60.0, 41.0], [10.0, 2.0, 19.0, 90.0]])),
    Boxes(torch.tensor([[-8.0, 30.0, 70.0, 100.0]])),
]


class _Heads:
    """The two parts of `Res5ROIHeads` that matter here."""

    def __init__(self, *, stride_in_1x1: bool = True, stride: int = 2, in_channels: int = 8):
        first = {"bottleneck_channels": 4, "norm": "", "stride_in_1x1": stride_in_1x1}
        self.res5 = nn.Sequential(
            BottleneckBlock(in_channels, 16, stride=stride, **first),
            BottleneckBlock(16, 16, bottleneck_channels=4, norm=""),
        )
        self.pooler = ROIPooler(14, (1 / 8,), sampling_ratio=0, pooler_type="ROIAlignV2")

    def __call__(self, features, boxes):
        return self.res5(self.pooler([features], boxes))


@torch.no_grad()
def test_unread_bins_are_left_out():
    heads, features = _Heads(), torch.randn(2, 8, 12, 12)
    expected = heads(features, BOXES)
    skip_unread_bins(heads)
    assert heads.pooler([features], BOXES).shape == (3, 8, 7, 7)
    torch.testing.assert_close(heads(features, BOXES), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "heads",
    [
        _Heads(stride_in_1x1=False),  # a 3x3 convolution reads them all
        _Heads(in_channels=16, stride=1),  # no shortcut, no stride
    ],
)
def test_bins_that_are_read_stay(heads):
    pooler = heads.pooler
    skip_unread_bins(heads)
    assert heads.pooler is pooler


def test_strided_bins_are_every_other_one():
    pooler = ROIPooler(14, (1 / 8,), sampling_ratio=2, pooler_type="ROIAlignV2")
    features = [torch.randn(2, 4, 12, 12)]
    torch.testing.assert_close(
        StridedPooler(pooler, 2)(features, BOXES), pooler(features, BOXES)[:, :, ::2, ::2]
    )


@torch.no_grad()
@pytest.mark.parametrize("count", [0, 1, 4, 7])
def test_chunks_are_the_whole(count):
    stage = _Heads().res5
    pooled = torch.randn(count, 8, 14, 14)
    ours = ChunkedStage(stage, chunk=3)(pooled)
    assert ours.shape == (count, 16, 1, 1)
    torch.testing.assert_close(
        ours.mean(dim=(2, 3)), stage(pooled).mean(dim=(2, 3)), rtol=1e-4, atol=1e-5
    )
