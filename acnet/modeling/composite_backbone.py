"""Composite backbone: a lead ResNet that an assistant ResNet informs, level by level.

Levels of the paper and their names in detectron2, with stride and the channels of a ResNet-101:
    L1 = "stem" after its max pool (4, 64)     L2 = "res2" (4, 256)
    L3 = "res3" (8, 512)                       L4 = "res4" (16, 1024)
"""

import itertools
from collections.abc import Sequence

from detectron2.layers import Conv2d, FrozenBatchNorm2d, ShapeSpec, get_norm
from detectron2.modeling import Backbone
from detectron2.modeling.backbone import ResNet
from fvcore.nn import weight_init
from torch import Tensor, nn

from .feature_refinement import FeatureRefinement, interpolate

LEVELS = ("stem", "res2", "res3", "res4")  # L1, L2, L3, L4


class CompositeConnection(nn.Module):
    """Carry a deep level of the assistant backbone to the level before it in the lead.

    Reference: paper, III-A.1; CBNet [16], adjacent higher-level composition.
    """

    def __init__(
        self, *, high_channels: int, low_channels: int, norm: str = "BN", zero_init: bool = True
    ):
        """Take the channels of level k and k-1; with `zero_init` the lead starts untouched.

        Raises:
            ValueError: for a gain of zero that is frozen.
        """
        super().__init__()
        layer = get_norm(norm, low_channels)
        if zero_init and isinstance(layer, FrozenBatchNorm2d):
            raise ValueError(
                "The plain connection starts with a gain of zero that has to learn, and FrozenBN "
                f"would keep it there. Received norm={norm!r} with zero_init=True. Set norm='BN', "
                "or zero_init=False."
            )
        self.project = Conv2d(high_channels, low_channels, 1, bias=layer is None, norm=layer)
        weight_init.c2_msra_fill(self.project)
        if zero_init:
            # NOT IN PAPER: a pretrained lead computes at step 0 what it was trained to compute.
            nn.init.zeros_((self.project if layer is None else layer).weight)

    def forward(self, assistant_high: Tensor, assistant_low: Tensor, lead_low: Tensor) -> Tensor:
        """Same as `FeatureRefinement.forward`; the low levels are not read but for their size."""
        # Convolving before upsampling gives the same map for a quarter of the work.
        return interpolate(self.project(assistant_high), lead_low.shape[-2:], mode="nearest")


_CONNECTIONS = {"plain": CompositeConnection, "refine": FeatureRefinement}


class _LevelsOfResNet(Backbone):
    """Some of the levels of a ResNet, with their own channels and strides."""

    def __init__(self, shapes: dict[str, ShapeSpec], out_features: Sequence[str]):
        super().__init__()
        unknown = sorted(set(out_features) - set(LEVELS))
        if unknown or not out_features:
            raise ValueError(
                f"out_features names levels to return. Received {list(out_features)}; "
                f"choose from {LEVELS}."
            )
        self._shapes = shapes
        self._out_features = list(out_features)

    def output_shape(self) -> dict[str, ShapeSpec]:
        return {name: self._shapes[name] for name in self._out_features}

    @property
    def size_divisibility(self) -> int:
        return self._shapes[LEVELS[-1]].stride


class CompositeResNet(_LevelsOfResNet):
    """Two ResNets side by side: stage k of the lead also reads level k of the assistant.

    Reference: paper, III-A, Fig. 2.
    """

    def __init__(
        self,
        *,
        lead: ResNet,
        assistant: ResNet,
        out_features: Sequence[str] = ("res2", "res3", "res4"),
        connection: str = "refine",
        norm: str = "BN",
        zero_init: bool = True,
    ):
        """
        Args:
            lead, assistant: ResNets of equal widths with stages up to res4 at least.
            out_features: which of the lead's levels to return.
            connection: "plain" for the composite backbone alone, "refine" for the feature
                refinement module in its place.
            zero_init: new layers start by leaving the lead untouched.

        Raises:
            ValueError: for an unknown name, a missing stage, or widths that differ.
        """
        lead_shapes, assistant_shapes = _level_shapes(lead), _level_shapes(assistant)
        super().__init__(lead_shapes, out_features)
        if connection not in _CONNECTIONS:
            raise ValueError(
                f"connection must be one of {tuple(_CONNECTIONS)}. Received {connection!r}."
            )
        if lead_shapes != assistant_shapes:
            raise ValueError(
                "Lead and assistant are added level by level, so their channels and strides must "
                f"be equal. Received {lead_shapes} and {assistant_shapes}; build both alike."
            )
        self.lead = lead
        self.assistant = assistant
        if _is_frozen(lead.stem) and _is_frozen(assistant.stem):
            self.assistant.stem = self.lead.stem  # which is equal as long as it is frozen
        self.connections = _build_connections(
            _CONNECTIONS[connection], lead_shapes, norm, zero_init
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the lead's levels (B, C, H / stride, W / stride) of images (B, 3, H, W)."""
        stem = self.lead.stem(image)
        is_shared = self.assistant.stem is self.lead.stem
        assistant = _run_stages(self.assistant, stem if is_shared else self.assistant.stem(image))
        levels = {"stem": stem}
        for low, high in itertools.pairwise(LEVELS):
            term = self.connections[high](assistant[high], assistant[low], levels[low])
            levels[high] = getattr(self.lead, high)(levels[low] + term)
        return {name: levels[name] for name in self._out_features}


class RefinedResNet(_LevelsOfResNet):
    """Feature refinement without a second backbone: row (a) of Table II.

    The one ResNet plays lead and assistant. Level k-1 becomes `L[k-1] + g[k]` where it is tapped;
    the ResNet's own stages go on reading the unrefined level. The deepest level has no deeper one
    to learn from and stays as it is.

    NOT IN PAPER: how the module is applied to a single backbone.
    """

    def __init__(
        self,
        *,
        bottom_up: ResNet,
        out_features: Sequence[str] = ("res2", "res3", "res4"),
        norm: str = "BN",
        zero_init: bool = True,
    ):
        """Arguments as for `CompositeResNet`."""
        super().__init__(_level_shapes(bottom_up), out_features)
        self.bottom_up = bottom_up
        refined = [high for low, high in itertools.pairwise(LEVELS) if low in out_features]
        self.connections = _build_connections(
            FeatureRefinement, self._shapes, norm, zero_init, levels=refined
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Same as `CompositeResNet.forward`."""
        plain = _run_stages(self.bottom_up, self.bottom_up.stem(image))
        levels = dict(plain)
        for low, high in itertools.pairwise(LEVELS):
            if high in self.connections:
                term = self.connections[high](plain[high], plain[low], plain[low])
                levels[low] = plain[low] + term
        return {name: levels[name] for name in self._out_features}


def _run_stages(resnet: ResNet, stem: Tensor) -> dict[str, Tensor]:
    """The levels of a ResNet, from the output of its stem up to res4."""
    levels = {"stem": stem}
    for low, high in itertools.pairwise(LEVELS):
        levels[high] = getattr(resnet, high)(levels[low])
    return levels


def _build_connections(
    connection: type[nn.Module],
    shapes: dict[str, ShapeSpec],
    norm: str,
    zero_init: bool,
    levels: Sequence[str] = LEVELS[1:],
) -> nn.ModuleDict:
    """One connection for each level, keyed by the level that it reads."""
    return nn.ModuleDict(
        {
            high: connection(
                high_channels=shapes[high].channels,
                low_channels=shapes[low].channels,
                norm=norm,
                zero_init=zero_init,
            )
            for low, high in itertools.pairwise(LEVELS)
            if high in levels
        }
    )


def _level_shapes(resnet: ResNet) -> dict[str, ShapeSpec]:
    """Channels and stride of L1 to L4."""
    missing = [name for name in LEVELS if not hasattr(resnet, name)]
    if missing:
        raise ValueError(
            f"A composite backbone joins the levels {LEVELS}. Received a ResNet without {missing}; "
            'build it with out_features=["res4"].'
        )
    shapes, stride = {"stem": ShapeSpec(channels=resnet.stem.out_channels, stride=4)}, 4
    for name in LEVELS[1:]:
        blocks = getattr(resnet, name)
        for block in blocks:
            stride *= block.stride
        shapes[name] = ShapeSpec(channels=blocks[-1].out_channels, stride=stride)
    return shapes


def _is_frozen(module: nn.Module) -> bool:
    return not any(parameter.requires_grad for parameter in module.parameters())
