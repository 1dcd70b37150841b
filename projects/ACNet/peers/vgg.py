"""VGG-16 as a detector's backbone, and levels that go on where a backbone ends."""

from typing import Any

import torch
import torch.nn.functional as F
from detectron2.layers import Conv2d, ShapeSpec, get_norm
from detectron2.modeling import Backbone
from torch import Tensor, nn
from torchvision.models import vgg16

__all__ = ["VGG16", "ExtraLevels", "conv_norm_relu", "xavier"]

_CONV4_3, _CONV5_3 = 23, 30  # layers of torchvision's `features` up to the ReLU of that name


def xavier(module: nn.Module) -> None:
    """Start the convolutions of a module as SSD's authors do: Xavier weights, no bias."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def conv_norm_relu(in_channels: int, out_channels: int, kernel: Any, **kwargs: Any) -> Conv2d:
    """Return a convolution that keeps the size, with a ReLU, and no bias where it has a norm.

    Args:
        in_channels, out_channels, kernel, kwargs: of detectron2's `Conv2d`; `norm` by its name.
    """
    norm = kwargs.pop("norm", "")
    if "padding" not in kwargs:
        kwargs["padding"] = kernel // 2
    kwargs = {"activation": nn.ReLU(), **kwargs, "norm": get_norm(norm, out_channels)}
    return Conv2d(in_channels, out_channels, kernel, bias=not norm, **kwargs)


class VGG16(Backbone):
    """VGG-16 whose last pooling and fully connected layers are convolutions.

    Its levels are "conv4_3" (stride 8), "conv5_3" (16) and "conv7" (16, or 32 by `pool5_stride`).
    `features` has the names and places of torchvision's, so that its ImageNet weights are loaded as
    a ResNet's are; conv6 and conv7 start at random, as in torchvision's SSD.

    Reference: Liu et al., SSD, ECCV 2016, 3.1 ([12] in the paper).
    """

    def __init__(
        self,
        *,
        out_features: list[str],
        l2_scales: dict[str, float] | None = None,
        pool5_stride: int = 1,
        freeze_at: int = 0,
    ):
        """
        Args:
            out_features: the levels that are wanted, in this order.
            l2_scales: for levels whose cells are divided by their length, the factor of every
                channel at the start: conv4_3 has larger values than the levels behind it.
            pool5_stride: 1 keeps stride 16 with a dilation of 6, 2 goes on to 32 with one of 3.
            freeze_at: the first so many of the five blocks are not trained.
        """
        super().__init__()
        self.features = vgg16(weights=None).features[:_CONV5_3]
        pools = [place for place, one in enumerate(self.features) if isinstance(one, nn.MaxPool2d)]
        self.features[pools[2]].ceil_mode = True  # 75 becomes 38
        for layer in self.features[: [0, *pools, _CONV5_3][freeze_at]]:
            layer.requires_grad_(False)
        kept = pool5_stride == 1
        self.pool5 = nn.MaxPool2d(3, 1, padding=1) if kept else nn.MaxPool2d(2, pool5_stride)
        dilation = 6 if kept else 3
        self.conv6 = nn.Conv2d(512, 1024, 3, padding=dilation, dilation=dilation)
        self.conv7 = nn.Conv2d(1024, 1024, 1)
        xavier(self.conv6), xavier(self.conv7)
        self.l2_scales = nn.ParameterDict(
            {name: torch.full((512,), float(scale)) for name, scale in (l2_scales or {}).items()}
        )
        self._out_features = list(out_features)
        self._out_feature_channels = {"conv4_3": 512, "conv5_3": 512, "conv7": 1024}
        self._out_feature_strides = {"conv4_3": 8, "conv5_3": 16, "conv7": 16 * pool5_stride}

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the levels of a (B, 3, H, W) image."""
        levels = {"conv4_3": self.features[:_CONV4_3](image)}
        levels["conv5_3"] = self.features[_CONV4_3:](levels["conv4_3"])
        if "conv7" in self._out_features:
            hidden = F.relu(self.conv6(self.pool5(levels["conv5_3"])))
            levels["conv7"] = F.relu(self.conv7(hidden))
        for name, scale in self.l2_scales.items():
            level = levels[name].float()  # squares of large values overflow float16
            levels[name] = F.normalize(level) * scale[:, None, None]
        return {name: levels[name] for name in self._out_features}


class ExtraLevels(Backbone):
    """A backbone's levels, and smaller ones behind the last: "extra1", "extra2" and so on.

    Each is a 1x1 convolution and a 3x3 one behind it, as conv8_1 and conv8_2 of SSD.
    """

    def __init__(
        self,
        *,
        bottom_up: Backbone,
        hidden_channels: list[int],
        out_channels: list[int],
        strides: list[int],
        paddings: list[int],
        kernel_sizes: list[int] | None = None,
        norm: str = "",
    ):
        """
        Args:
            bottom_up: gives the first levels.
            hidden_channels, out_channels: of each level's two convolutions.
            strides, paddings, kernel_sizes: of each level's second one; kernels are 3x3 if not
                given.
            norm: after each convolution.
        """
        super().__init__()
        self.bottom_up = bottom_up
        self._shapes = dict(bottom_up.output_shape())
        last = list(self._shapes.values())[-1]
        channels, stride = last.channels, last.stride
        self.levels = nn.ModuleList()
        for index, (hidden, out) in enumerate(zip(hidden_channels, out_channels, strict=True)):
            kernel = kernel_sizes[index] if kernel_sizes else 3
            second = {"stride": strides[index], "padding": paddings[index], "norm": norm}
            level = nn.Sequential(
                conv_norm_relu(channels, hidden, 1, norm=norm),
                conv_norm_relu(hidden, out, kernel, **second),
            )
            xavier(level)
            self.levels.append(level)
            channels, stride = out, stride * strides[index]
            self._shapes[f"extra{index + 1}"] = ShapeSpec(channels=channels, stride=stride)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the levels of a (B, 3, H, W) image, the finest first."""
        levels = self.bottom_up(image)
        level = list(levels.values())[-1]
        for index, layer in enumerate(self.levels):
            level = levels[f"extra{index + 1}"] = layer(level)
        return levels

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of each level."""
        return self._shapes
