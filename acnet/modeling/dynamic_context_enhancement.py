"""Dynamic Context Enhancement (DCE): levels of one shape, each with receptive fields of its choice.

Shape shorthand:
    B, H, W: batch, height and width of the reference level (stride 8 in the paper)
    C: channels of the resized levels (512)
    d: one of the dilation rates (1, 2, 3)
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from detectron2.layers import Conv2d, ShapeSpec
from detectron2.modeling import Backbone
from fvcore.nn import weight_init
from torch import Tensor, nn

from .feature_refinement import interpolate
from .own_cells import SizesHW, own_cells

_INITS = ("xavier", "identity")


class DynamicFeatureFusion(nn.Module):
    """Mix three receptive fields of one level by channel attention (H in the paper).

    Reference: paper, III-B.2, Eq. (3) to (5), Fig. 3; the channel attention is SENet's [17].
    """

    def __init__(
        self,
        *,
        channels: int,
        dilations: Sequence[int] = (1, 2, 3),
        reduction: int = 16,
        init: str = "xavier",
        shortcut: bool = False,
    ):
        """
        Args:
            channels: C, of the input and of the output.
            dilations: rates of the 3x3 convolutions.
            reduction: r, by which the attention's hidden layer is narrower than its input.
            init: how the convolutions start: at random ("xavier"), or as a module that gives its
                input back ("identity"). The equations are the same.
            shortcut: give the input plus the mix times a gain for each channel, which starts at
                zero.

        Raises:
            ValueError: for an unknown init, or a hidden layer without channels.
        """
        super().__init__()
        concatenated = channels * len(dilations)
        if not dilations or not 1 <= reduction <= concatenated:
            raise ValueError(
                "The channel attention's hidden layer is `reduction` times narrower than its input "
                f"of channels * dilations = {concatenated}. Received reduction={reduction}."
            )
        if init not in _INITS:
            raise ValueError(f"init must be one of {_INITS}. Received {init!r}.")
        self.convs = nn.ModuleList(
            # NOT IN PAPER: no normalisation or activation follows; Eq. (4) has none either.
            Conv2d(channels, channels, kernel_size=3, padding=rate, dilation=rate)
            for rate in dilations
        )
        # NOT IN PAPER: Eq. (3) has no shortcut. See docs/lab/components.md for what it changes.
        self.gain = nn.Parameter(torch.zeros(channels, 1, 1)) if shortcut else None
        # Of all convolutions, (3C, 1, 1), where they are added to the mix rather than to each map;
        # `acnet.inference.optimize` sets it.
        self.late_biases: Tensor | None = None
        self.fc1 = nn.Linear(concatenated, concatenated // reduction)
        self.fc2 = nn.Linear(concatenated // reduction, concatenated)
        for conv in self.convs:
            weight_init.c2_xavier_fill(conv)
        for layer in (self.fc1, self.fc2):
            weight_init.c2_xavier_fill(layer)
        if init == "identity":
            self._start_as_identity()

    @torch.no_grad()
    def _start_as_identity(self) -> None:
        """Let every score be 1/2, and every convolution a copy of which the scores make a share."""
        # NOT IN PAPER: it says nothing of the start. What it changes is in docs/lab/components.md.
        nn.init.zeros_(self.fc2.weight)
        for conv in self.convs:
            nn.init.dirac_(conv.weight).mul_(2 / len(self.convs))

    def forward(self, level: Tensor, own: Tensor | None = None) -> Tensor:
        """
        Args:
            level: (B, C, H, W), as the result, D_i.
            own: (B, 1, H, W) bool, the cells to attend to; None for all.
        """
        maps = [conv(level) for conv in self.convs]  # Eq. (4), never concatenated
        scores = self._attend(maps, own)
        if self.late_biases is None:
            mixed, rest = scores[0] * maps[0], 1
        else:
            biases = self.late_biases.chunk(len(maps))
            mixed, rest = sum(s * b for s, b in zip(scores, biases, strict=True)), 0
        for score, one in zip(scores[rest:], maps[rest:], strict=True):  # Eq. (3)
            mixed = torch.addcmul(mixed, score, one)
        return mixed if self.gain is None else level + self.gain.to(mixed.dtype) * mixed

    def _attend(self, maps: list[Tensor], own: Tensor | None) -> tuple[Tensor, ...]:
        """Scores alpha in (0, 1), one (B, C, 1, 1) for each dilation."""
        if own is not None:
            share = own.to(maps[0].dtype)
            # NOT IN PAPER: padding is no skin. The mean over the map becomes one over own cells.
            share = share / share.float().mean(dim=(2, 3), keepdim=True).to(share.dtype)
            pooled = torch.cat([(one * share).mean(dim=(2, 3)) for one in maps], dim=1)
        else:
            pooled = torch.cat([one.mean(dim=(2, 3)) for one in maps], dim=1)  # (B, 3C)
        if self.late_biases is not None:
            pooled = pooled + self.late_biases.flatten()
        alpha = torch.sigmoid(self.fc2(F.relu(self.fc1(pooled))))  # Eq. (5)
        return alpha[:, :, None, None].chunk(len(maps), dim=1)


class DynamicContextEnhancement(Backbone):
    """Bring the levels of a backbone to one shape, enhance each, and add them up.

    Wraps a backbone as detectron2's `FPN` does. Its one output is called "p3".

    Reference: paper, III-B, Fig. 3; Table III for `in_features` and `enhance`.
    """

    pools_over_map = True  # so it wants to know what is padding: see `run_backbone`

    def __init__(
        self,
        *,
        bottom_up: Backbone,
        in_features: Sequence[str] = ("res2", "res3", "res4"),
        reference: str = "res3",
        out_channels: int = 512,
        dilations: Sequence[int] = (1, 2, 3),
        reduction: int = 16,
        enhance: bool = True,
        init: str = "xavier",
        shortcut: bool = False,
    ):
        """
        Args:
            bottom_up: gives the levels named in `in_features`.
            in_features: levels to merge, `reference` among them.
            reference: the level whose size all others take (L3, stride 8).
            out_channels: C, of the output.
            dilations, reduction, init, shortcut: see `DynamicFeatureFusion`; "identity", or a
                shortcut, starts as the plain sum that `enhance=False` gives.
            enhance: False adds the resized levels up as they are, the paper's "DCE (w/o)".

        Raises:
            ValueError: if a level is not there.
        """
        super().__init__()
        shapes = bottom_up.output_shape()
        missing = sorted({reference, *in_features} - set(shapes))
        if missing or reference not in in_features:
            raise ValueError(
                f"in_features={list(in_features)} and reference={reference!r} must name levels of "
                f"the backbone, the reference among them. The backbone gives {sorted(shapes)}."
            )
        self.bottom_up = bottom_up
        self.in_features = tuple(in_features)
        self.reference = reference
        self.resize = nn.ModuleDict(
            {name: _projection(shapes[name].channels, out_channels) for name in in_features}
        )
        self.enhance = nn.ModuleDict(
            {
                name: DynamicFeatureFusion(
                    channels=out_channels,
                    dilations=dilations,
                    reduction=reduction,
                    init=init,
                    shortcut=shortcut,
                )
                for name in in_features
                if enhance
            }
        )
        self._strides = {name: shapes[name].stride for name in in_features}
        self._output_shape = ShapeSpec(channels=out_channels, stride=shapes[reference].stride)

    def forward(self, image: Tensor, image_sizes: SizesHW = None) -> dict[str, Tensor]:
        """
        Args:
            image: (B, 3, 8H, 8W), normalised; sides divisible by `size_divisibility`.
            image_sizes: for each image its height and width without padding; None for none padded.

        Returns:
            {"p3": (B, out_channels, H, W)}, D.
        """
        levels = self.bottom_up(image)
        size_hw = levels[self.reference].shape[-2:]
        resized = {name: self._resize(name, levels[name], size_hw) for name in self.in_features}
        own = own_cells(resized[self.reference], image_sizes, self._output_shape.stride)
        return {"p3": sum(self._enhance(name, level, own) for name, level in resized.items())}

    def before_interpolation(self) -> list[nn.Module]:
        """The layers whose maps are resized, where a picture ends before its map does."""
        deeper = [n for n in self.in_features if self._strides[n] > self._output_shape.stride]
        return [self.resize[name] for name in deeper]

    def _resize(self, name: str, level: Tensor, size_hw: torch.Size) -> Tensor:
        """(B, C, H, W) from a level of any size (III-B.1)."""
        if self._strides[name] < self._output_shape.stride:
            return self.resize[name](F.adaptive_avg_pool2d(level, size_hw))
        level = self.resize[name](level)
        if level.shape[-2:] == size_hw:
            return level
        # The 1x1 convolution and the interpolation commute; convolving first is the cheaper order.
        return interpolate(level, size_hw)

    def _enhance(self, name: str, level: Tensor, own: Tensor | None) -> Tensor:
        return self.enhance[name](level, own) if name in self.enhance else level

    def output_shape(self) -> dict[str, ShapeSpec]:
        return {"p3": self._output_shape}

    @property
    def size_divisibility(self) -> int:
        return math.lcm(max(1, self.bottom_up.size_divisibility), *self._strides.values())

    @property
    def padding_constraints(self) -> dict[str, int]:
        constraints = dict(self.bottom_up.padding_constraints)
        if "size_divisibility" in constraints:
            constraints["size_divisibility"] = self.size_divisibility
        return constraints


def _projection(in_channels: int, out_channels: int) -> nn.Module:
    """A 1x1 convolution, or nothing where the level has the wanted channels already."""
    if in_channels == out_channels:
        return nn.Identity()
    conv = Conv2d(in_channels, out_channels, kernel_size=1)
    weight_init.c2_xavier_fill(conv)
    return conv
