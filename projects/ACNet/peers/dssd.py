"""DSSD: SSD with a way back up, by deconvolutions, and a residual block before each prediction."""

import torch.nn.functional as F
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from torch import Tensor, nn

from .single_shot import SSDHead
from .vgg import conv_norm_relu, xavier

__all__ = ["DSSDHead", "DeconvolutionLevels", "DeconvolutionModule"]


class DeconvolutionModule(nn.Module):
    """A level times the enlarged coarser one, both normalised.

    Reference: Fu et al., DSSD, 2017 ([23] in the paper's Table IV), Fig. 3.
    """

    def __init__(self, *, fine_channels: int, coarse_channels: int, channels: int, norm: str):
        """
        Args:
            fine_channels, coarse_channels: of the two levels.
            channels: of the result.
            norm: of the convolutions.
        """
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(coarse_channels, channels, 2, stride=2)
        self.coarse = conv_norm_relu(channels, channels, 3, norm=norm, activation=None)
        self.fine = nn.Sequential(
            conv_norm_relu(fine_channels, channels, 3, norm=norm),
            conv_norm_relu(channels, channels, 3, norm=norm, activation=None),
        )
        xavier(self)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return (B, channels, H, W) of the finer level's size."""
        enlarged = self.enlarge(coarse)
        # DSSD chooses kernels and paddings so that 3 becomes 5; a resize does it for any size.
        if enlarged.shape[2:] != fine.shape[2:]:
            enlarged = F.interpolate(enlarged, size=fine.shape[2:], mode="bilinear")
        return F.relu(self.fine(fine) * self.coarse(enlarged))


class DeconvolutionLevels(Backbone):
    """Levels of a backbone, each but the coarsest joined with what is behind it."""

    def __init__(self, *, bottom_up: Backbone, channels: int = 512, norm: str = "BN"):
        """
        Args:
            bottom_up: gives the levels.
            channels: of all levels that are joined.
            norm: of the convolutions.
        """
        super().__init__()
        self.bottom_up = bottom_up
        shapes = bottom_up.output_shape()
        names = list(shapes)
        self.joins = nn.ModuleDict()
        coarse = shapes[names[-1]].channels
        for name in reversed(names[:-1]):
            self.joins[name] = DeconvolutionModule(
                fine_channels=shapes[name].channels,
                coarse_channels=coarse,
                channels=channels,
                norm=norm,
            )
            coarse = channels
        self._shapes = {
            name: ShapeSpec(
                channels=channels if name in self.joins else shape.channels, stride=shape.stride
            )
            for name, shape in shapes.items()
        }

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the levels of a (B, 3, H, W) image, the finest first."""
        levels = self.bottom_up(image)
        coarse = list(levels.values())[-1]
        for name, join in self.joins.items():  # from the coarsest
            coarse = levels[name] = join(levels[name], coarse)
        return levels

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of each level."""
        return self._shapes


class DSSDHead(SSDHead):
    """`SSDHead` behind a residual block for each level: the paper's module (c)."""

    def __init__(
        self,
        *,
        in_channels: list[int],
        num_anchors: list[int],
        num_classes: int,
        channels: int = 1024,
        norm: str = "BN",
    ):
        """
        Args:
            in_channels, num_anchors, num_classes: as for `SSDHead`.
            channels: of each block's result; a quarter in between.
            norm: of the convolutions.
        """
        levels = len(in_channels)
        super().__init__(
            in_channels=[channels] * levels, num_anchors=num_anchors, num_classes=num_classes
        )
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "residual": nn.Sequential(
                        conv_norm_relu(count, channels // 4, 1, norm=norm),
                        conv_norm_relu(channels // 4, channels // 4, 1, norm=norm),
                        conv_norm_relu(channels // 4, channels, 1, norm=norm, activation=None),
                    ),
                    "shortcut": conv_norm_relu(count, channels, 1, norm=norm, activation=None),
                }
            )
            for count in in_channels
        )

    def forward(self, features: list[Tensor]) -> list[list[Tensor]]:
        """Same as `SSDHead.forward`."""
        return super().forward(
            [
                F.relu(block["residual"](level) + block["shortcut"](level))
                for block, level in zip(self.blocks, features, strict=True)
            ]
        )
