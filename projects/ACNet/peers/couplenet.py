"""CoupleNet: R-FCN, whose parts vote, with a second branch that looks at a box as a whole."""

import torch
from detectron2.layers import Conv2d, ShapeSpec
from torch import Tensor, nn
from torchvision.ops import roi_align

from acnet.modeling import PositionSensitiveOutputLayers
from acnet.modeling.poolers import autocast_off

__all__ = ["CoupledOutputLayers"]


class CoupledOutputLayers(PositionSensitiveOutputLayers):
    """`PositionSensitiveOutputLayers`, the local branch, whose scores a global branch adds to.

    The global branch pools a box and, beside it, its surroundings, and sees them whole by a
    convolution as large as the pooled map. Scores of both go through a 1x1 convolution, since
    their scales differ, and are added. Boxes are the local branch's.

    Reference: Zhu et al., CoupleNet, ICCV 2017 ([27] in the paper's Table IV), 3.2 and 3.3.
    """

    def __init__(
        self,
        input_shape: ShapeSpec,
        *,
        global_channels: int = 512,
        hidden_channels: int = 1024,
        context_scale: float = 2.0,
        **kwargs,
    ):
        """
        Args:
            input_shape: channels and stride of the feature map.
            global_channels: of the map that the global branch pools from.
            hidden_channels: of its convolution over a whole box.
            context_scale: by how much the sides of the surroundings are longer than the box's.
            kwargs: as for `PositionSensitiveOutputLayers`.
        """
        super().__init__(input_shape, **kwargs)
        self.context_scale = context_scale
        self.global_map = Conv2d(input_shape.channels, global_channels, 1, activation=nn.ReLU())
        self.whole = Conv2d(
            2 * global_channels, hidden_channels, self.num_bins, activation=nn.ReLU()
        )
        self.global_score = nn.Conv2d(hidden_channels, self.num_classes + 1, 1)
        self.scales = nn.ModuleList(
            nn.Conv1d(self.num_classes + 1, self.num_classes + 1, 1) for _ in range(2)
        )
        for layer in (self.global_map, self.whole):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.global_score.weight, std=0.01)
        for layer in self.scales:  # the sum is a plain one at the start
            nn.init.dirac_(layer.weight)
        for layer in (self.global_map, self.whole, self.global_score, *self.scales):
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, boxes: list) -> tuple[Tensor, Tensor]:
        """Same as `PositionSensitiveOutputLayers.forward`."""
        local, deltas = super().forward(x, boxes)
        whole = self.whole(self._pool(self.global_map(x), boxes))
        with autocast_off(x):
            of_whole = self.global_score(whole.float()).flatten(2)  # (R, K, 1)
            scores = self.scales[0](local[..., None]) + self.scales[1](of_whole)
        return scores[..., 0], deltas

    def _pool(self, maps: Tensor, boxes: list) -> Tensor:
        """(R, 2 * channels, k, k): the boxes, then their surroundings."""
        with autocast_off(maps):
            rois = self._to_rois(boxes)
            index, start, end = rois.split([1, 2, 2], dim=1)
            more = (self.context_scale - 1) / 2 * (end - start)
            context = torch.cat([index, start - more, end + more], dim=1)
            pooled = [
                roi_align(
                    *(maps.float(), one, self.num_bins, self.spatial_scale),
                    sampling_ratio=2,
                    aligned=True,
                )
                for one in (rois, context)
            ]
            return torch.cat(pooled, dim=1)
