"""R-FCN, the second row of Table I: a convolution scores every cell, and a box collects the votes.

Shape shorthand in this module:

    B: images
    R: boxes of all images
    C: channels
    H, W: cells of the feature map
    K: values a box gets: its classes with the background, or its four offsets
    k: bins along a side of a box
"""

import torch
from detectron2.config import configurable
from detectron2.layers import CNNBlockBase, Conv2d, ShapeSpec
from detectron2.modeling.poolers import convert_boxes_to_pooler_format
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, ROIHeads
from detectron2.structures import Boxes, ImageList, Instances
from fvcore.nn.weight_init import c2_msra_fill
from torch import Tensor, nn
from torchvision.ops import ps_roi_align

from acnet.modeling.heads import BatchHeads, SoftNMSOutputLayers

from .poolers import autocast_off
from .resnet import block_arguments, make_resnet_stage

_MIN_CELLS = 1e-3  # a box without any width has no samples, and their mean would be 0 / 0


class PositionSensitiveOutputLayers(SoftNMSOutputLayers):
    """`SoftNMSOutputLayers` over a whole feature map, with a map for each bin of a box.

    A bin reads its own map, so that the maps learn parts: "the upper left of a lesion". A box gets
    the mean over its bins. Losses and inference are inherited.

    Reference: Dai et al., R-FCN, NIPS 2016 ([7] in the paper).
    """

    @configurable
    def __init__(
        self,
        input_shape: ShapeSpec,
        *,
        num_bins: int = 7,
        sampling_ratio: int = 0,
        vote_gain: float = 1.0,
        **kwargs,
    ):
        """
        Args:
            input_shape: channels and stride of the feature map.
            num_bins: bins along a side of a box; each value of a box has `num_bins ** 2` maps.
            sampling_ratio: samples along a side of a bin; 0 takes one a cell.
            vote_gain: factor on the mean of the votes. With 1 a step of SGD moves a box by
                1 / num_bins ** 2 of what it moves by a linear layer, since each map answers for
                that share of the mean; with `num_bins` by as much.
            kwargs: as for `SoftNMSOutputLayers`, but `cls_agnostic_bbox_reg`: it is.
        """
        super().__init__(input_shape, cls_agnostic_bbox_reg=True, **kwargs)
        self.num_bins = num_bins
        self.spatial_scale = 1.0 / input_shape.stride
        self.sampling_ratio = sampling_ratio
        self.vote_gain = vote_gain
        # The same init as detectron2's.
        self.cls_score = _as_maps(self.cls_score, num_bins, std=0.01)
        self.bbox_pred = _as_maps(self.bbox_pred, num_bins, std=0.001)

    @classmethod
    def from_config(cls, cfg, input_shape):
        parts = super().from_config(cfg, input_shape)
        del parts["cls_agnostic_bbox_reg"]
        return {
            **parts,
            "num_bins": cfg.MODEL.ACNET.RFCN.NUM_BINS,
            "sampling_ratio": cfg.MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO,
            "vote_gain": cfg.MODEL.ACNET.RFCN.VOTE_GAIN,
        }

    def forward(self, x: Tensor, boxes: list[Boxes]) -> tuple[Tensor, Tensor]:
        """Score boxes on a map (B, C, H, W), in float32 under any autocast.

        Returns:
            (R, K) logits of the classes, background last, and (R, 4) offsets.
        """
        with autocast_off(x):
            x = x.float()
            rois = self._to_rois(boxes)
            return self._vote(self.cls_score(x), rois), self._vote(self.bbox_pred(x), rois)

    def _to_rois(self, boxes: list[Boxes]) -> Tensor:
        """(R, 5): the index of the image, then the corners."""
        rois = convert_boxes_to_pooler_format(boxes).float()
        index, start, end = rois.split([1, 2, 2], dim=1)
        return torch.cat([index, start, end.max(start + _MIN_CELLS / self.spatial_scale)], dim=1)

    def _vote(self, maps: Tensor, rois: Tensor) -> Tensor:
        # (B, K * k * k, H, W) -> (R, K, k, k) -> (R, K)
        bins = ps_roi_align(maps, rois, self.num_bins, self.spatial_scale, self.sampling_ratio)
        return self.vote_gain * bins.mean(dim=(2, 3))


@ROI_HEADS_REGISTRY.register()
class RFCNROIHeads(BatchHeads, ROIHeads):
    """Heads that compute everything once an image; a box costs no more than its pooling.

    res5 without its stride, a 1x1 convolution, and `PositionSensitiveOutputLayers`.
    """

    @configurable
    def __init__(
        self,
        *,
        in_features: list[str],
        res5: list[CNNBlockBase],
        hidden_channels: int = 1024,
        box_predictor: PositionSensitiveOutputLayers,
        **kwargs,
    ):
        """
        Args:
            in_features: the name of the one feature map that is read.
            res5: blocks that keep the size of the map, `make_resnet_stage(101, 5, dilation=2)`.
            hidden_channels: of the 1x1 convolution after them, which the box predictor reads.
            box_predictor: makes scores and offsets of feature map and boxes.
            kwargs: as for `ROIHeads`.

        Raises:
            ValueError: `in_features` does not name exactly one map.
        """
        super().__init__(**kwargs)
        if len(in_features) != 1:
            raise ValueError(
                "R-FCN reads one feature map, since its maps have one stride. Received "
                f"in_features={list(in_features)}. Name one, such as ['res4']."
            )
        self.in_feature = in_features[0]
        self.res5 = nn.Sequential(*res5)
        # NOT IN PAPER: the ReLU, from the code of R-FCN's authors; its init, from detectron2.
        self.reduce = Conv2d(res5[-1].out_channels, hidden_channels, 1, activation=nn.ReLU())
        c2_msra_fill(self.reduce)
        self.box_predictor = box_predictor

    @classmethod
    def from_config(cls, cfg, input_shape):
        parts = super().from_config(cfg)
        in_features = cfg.MODEL.ROI_HEADS.IN_FEATURES
        hidden_shape = ShapeSpec(
            channels=cfg.MODEL.ACNET.RFCN.HIDDEN_CHANNELS, stride=input_shape[in_features[0]].stride
        )
        return {
            **parts,
            "in_features": in_features,
            "res5": make_resnet_stage(
                cfg.MODEL.RESNETS.DEPTH,
                5,
                stem_channels=cfg.MODEL.RESNETS.STEM_OUT_CHANNELS,
                dilation=2,
                **block_arguments(cfg),
            ),
            "hidden_channels": hidden_shape.channels,
            "box_predictor": PositionSensitiveOutputLayers(cfg, hidden_shape),
        }

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        proposals: list[Instances],
        targets: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """See `ROIHeads.forward`."""
        if self.training:
            proposals = self.label_and_sample_proposals(proposals, targets)
        hidden = self.compute_hidden(features)
        predictions = self.box_predictor(hidden, [one.proposal_boxes for one in proposals])
        if self.training:
            return [], self.box_predictor.losses(predictions, proposals)
        detections, _ = self.box_predictor.inference(predictions, proposals)
        return detections, {}

    def compute_hidden(self, features: dict[str, Tensor]) -> Tensor:
        """The map that the box predictor reads: all of the heads' work that no box adds to."""
        return self.reduce(self.res5(features[self.in_feature]))


def _as_maps(layer: nn.Linear, num_bins: int, *, std: float) -> Conv2d:
    """A convolution in the layer's place, with a map for each bin and value."""
    maps = Conv2d(layer.in_features, layer.out_features * num_bins**2, 1)
    nn.init.normal_(maps.weight, std=std)
    nn.init.zeros_(maps.bias)
    return maps
