"""Faster R-CNN on a ResNet-101 with FPN, as detectron2 builds it. NOT IN PAPER: a modern reference.

Of the paper it has Soft-NMS and the anchors: 32 to 256 pixels, one size a level, so p2 to p5.
"""

from detectron2.config import LazyCall as L
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import FPN
from detectron2.modeling.roi_heads import FastRCNNConvFCHead

from acnet.modeling import Float32ROIPooler, SoftNMSROIHeads

from .acnet_r101 import model
from .backbone import RESNET_101, resnet
from .heads import output_layers, sampling


def fpn_backbone(*, resnet_config, out_channels):
    """A ResNet up to res5 under FPN."""
    levels = ["res2", "res3", "res4", "res5"]
    bottom_up = resnet(**resnet_config)
    bottom_up.stages.num_stages = 4
    bottom_up.out_features = levels
    return L(FPN)(bottom_up=bottom_up, in_features=levels, out_channels=out_channels)


model.backbone = fpn_backbone(resnet_config=RESNET_101, out_channels=256)

_levels = dict(names=["p2", "p3", "p4", "p5"], strides=[4, 8, 16, 32])

model.proposal_generator.in_features = _levels["names"]
model.proposal_generator.head.update(in_channels=256, num_anchors=3, conv_dims=[256])
model.proposal_generator.anchor_generator.update(
    sizes=[[32], [64], [128], [256]], strides=_levels["strides"]
)
model.proposal_generator.pre_nms_topk = (2000, 1000)  # of each level
model.proposal_generator.post_nms_topk = (1000, 1000)

model.roi_heads = L(SoftNMSROIHeads)(
    **sampling(),
    box_in_features=_levels["names"],
    box_pooler=L(Float32ROIPooler)(
        output_size=7,
        scales=[1.0 / stride for stride in _levels["strides"]],
        sampling_ratio=0,
        pooler_type="ROIAlignV2",
    ),
    box_head=L(FastRCNNConvFCHead)(
        input_shape=L(ShapeSpec)(channels=256, height=7, width=7),
        conv_dims=[],
        fc_dims=[1024, 1024],
    ),
    box_predictor=output_layers(channels=1024),
)
