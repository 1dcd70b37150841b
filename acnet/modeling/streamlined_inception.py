"""Streamlined inception network of MAMA: block B of Inception-v4 on the merged map."""

import torch
from detectron2.layers import Conv2d, get_norm
from fvcore.nn import weight_init
from torch import Tensor, nn


class StreamlinedInception(nn.Module):
    """Look at the map through kernels of different shapes, without changing its size.

    Reference: paper, III-C; Inception-v4 [18], Fig. 5.
    """

    def __init__(self, *, in_channels: int, width: float = 1.0, norm: str = "BN"):
        """
        Args:
            in_channels: channels of the input.
            width: factor on every channel count, above 0; 1 gives Inception-v4's 1024 channels.
            norm: detectron2's name of the normalisation after each convolution; "" for none.

        Raises:
            ValueError: for a width that is not above 0.
        """
        super().__init__()
        if not width > 0:
            raise ValueError(f"width is a factor on channels, above 0. Received {width}.")
        # NOT IN PAPER: which inception block is meant. Block B, as in SCRDet, whose feature path
        # the paper follows.
        self.branch_1x1 = _branch(in_channels, [(384, 1, 1)], width, norm)
        self.branch_7x7 = _branch(in_channels, [(192, 1, 1), (224, 1, 7), (256, 7, 1)], width, norm)
        self.branch_double_7x7 = _branch(
            in_channels,
            [(192, 1, 1), (192, 7, 1), (224, 1, 7), (224, 7, 1), (256, 1, 7)],
            width,
            norm,
        )
        self.branch_pool = nn.Sequential(
            nn.AvgPool2d(kernel_size=3, stride=1, padding=1, count_include_pad=False),
            _branch(in_channels, [(128, 1, 1)], width, norm),
        )
        self.out_channels = sum(_scaled(channels, width) for channels in (384, 256, 256, 128))

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out_channels, H, W) of features (B, in_channels, H, W)."""
        branches = (self.branch_1x1, self.branch_7x7, self.branch_double_7x7, self.branch_pool)
        return torch.cat([branch(features) for branch in branches], dim=1)


def _branch(
    in_channels: int, layers: list[tuple[int, int, int]], width: float, norm: str
) -> nn.Sequential:
    """Convolutions given as (channels, kernel height, kernel width), each with norm and ReLU."""
    convs = []
    for channels, height, across in layers:
        out_channels = _scaled(channels, width)
        layer = get_norm(norm, out_channels)
        conv = Conv2d(
            in_channels,
            out_channels,
            kernel_size=(height, across),
            padding=(height // 2, across // 2),
            bias=layer is None,
            norm=layer,
            activation=nn.ReLU(),
        )
        # NOT IN PAPER: MSRA's scale. N(0, 0.01) starves the long branches.
        weight_init.c2_msra_fill(conv)
        convs.append(conv)
        in_channels = out_channels
    return nn.Sequential(*convs)


def _scaled(channels: int, width: float) -> int:
    """Channels times width, to the nearest multiple of 8 and at least 8."""
    return max(8, round(channels * width / 8) * 8)
