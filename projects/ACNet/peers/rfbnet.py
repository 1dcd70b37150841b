"""The levels of RFBNet: receptive field blocks on SSD's.

A block's branches have kernels of different sizes, each followed by a dilation that fits: like the
receptive fields of the eye, larger ones are coarser and farther from the centre.
"""

import torch
import torch.nn.functional as F
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from torch import Tensor, nn

from .vgg import conv_norm_relu

__all__ = ["ReceptiveFieldBlock", "ReceptiveFieldLevels"]


class ReceptiveFieldBlock(nn.Module):
    """RFB, or RFB-s for the finest level, which is smaller and has thin kernels.

    Reference: Liu et al., Receptive Field Block Net, ECCV 2018 ([26] in the paper), Fig. 4.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        is_small: bool = False,
        norm: str = "BN",
    ):
        """
        Args:
            in_channels, out_channels: of the maps.
            stride: of the block; 1 for RFB-s.
            is_small: RFB-s, of four branches with thin kernels.
            norm: after each convolution.
        """
        super().__init__()
        width = in_channels // (4 if is_small else 8)
        # For each branch its layers behind the first 1x1: channels, kernel, stride, dilation.
        if is_small:
            first = (width, width, width, max(width // 2, 1))
            wide = max(width // 4, 1) * 3
            branches = [
                [(width, 3, 1, 1)],
                [(width, (3, 1), 1, 1), (width, 3, 1, 3)],
                [(width, (1, 3), 1, 1), (width, 3, 1, 3)],
                [(wide, (1, 3), 1, 1), (width, (3, 1), 1, 1), (width, 3, 1, 5)],
            ]
        else:
            first = (2 * width, width, width)
            twice, wide = 2 * width, max(width // 2, 1) * 3
            branches = [
                [(twice, 3, 1, 2)],
                [(twice, 3, stride, 1), (twice, 3, 1, 3)],
                [(wide, 3, 1, 1), (twice, 3, stride, 1), (twice, 3, 1, 5)],
            ]
        self.branches = nn.ModuleList()
        for index, (channels, layers) in enumerate(zip(first, branches, strict=True)):
            first_stride = stride if index == 0 else 1
            branch = [conv_norm_relu(in_channels, channels, 1, stride=first_stride, norm=norm)]
            for layer in layers:
                branch.append(_conv(channels, *layer, norm=norm, has_relu=layer is not layers[-1]))
                channels = layer[0]
            self.branches.append(nn.Sequential(*branch))
        total = sum(layers[-1][0] for layers in branches)
        linear = {"norm": norm, "activation": None}
        self.merge = conv_norm_relu(total, out_channels, 1, **linear)
        self.shortcut = conv_norm_relu(in_channels, out_channels, 1, stride=stride, **linear)

    def forward(self, level: Tensor) -> Tensor:
        """Return the enriched level, (B, out_channels, H / stride, W / stride)."""
        merged = self.merge(torch.cat([branch(level) for branch in self.branches], dim=1))
        return F.relu(merged + self.shortcut(level))


class ReceptiveFieldLevels(Backbone):
    """RFB-s on a backbone's finest level, RFB on the other, and smaller levels by RFBs of stride 2.

    The smaller ones read the level that has gone through its block. They are called "rfb1", "rfb2"
    and so on.
    """

    def __init__(self, *, bottom_up: Backbone, out_channels: list[int], norm: str = "BN"):
        """
        Args:
            bottom_up: gives two levels or more, whose channels stay.
            out_channels: of the smaller levels.
            norm: of all blocks.
        """
        super().__init__()
        self.bottom_up = bottom_up
        self._shapes = dict(bottom_up.output_shape())
        self.blocks = nn.ModuleDict(
            {
                name: ReceptiveFieldBlock(
                    in_channels=shape.channels,
                    out_channels=shape.channels,
                    is_small=index == 0,
                    norm=norm,
                )
                for index, (name, shape) in enumerate(self._shapes.items())
            }
        )
        shape = list(self._shapes.values())[-1]
        for index, channels in enumerate(out_channels):
            self.blocks[f"rfb{index + 1}"] = ReceptiveFieldBlock(
                in_channels=shape.channels, out_channels=channels, stride=2, norm=norm
            )
            shape = ShapeSpec(channels=channels, stride=shape.stride * 2)
            self._shapes[f"rfb{index + 1}"] = shape

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the levels of a (B, 3, H, W) image, the finest first."""
        given, levels, level = self.bottom_up(image), {}, None
        for name, block in self.blocks.items():
            level = levels[name] = block(given.get(name, level))
        return levels

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of each level."""
        return self._shapes


def _conv(in_channels, out_channels, kernel, stride, dilation, *, norm, has_relu):
    """A layer of a branch; the last one has no ReLU."""
    high, wide = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    padding = (dilation * (high // 2), dilation * (wide // 2))
    kwargs = {} if has_relu else {"activation": None}
    return conv_norm_relu(
        *(in_channels, out_channels, (high, wide)),
        **{"stride": stride, "padding": padding, "dilation": dilation, "norm": norm, **kwargs},
    )
