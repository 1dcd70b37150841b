"""`rfcn_r101` on the ResNet-18 of `acnet_r18`, from random weights. NOT IN PAPER."""

from detectron2.config import LazyCall as L

from acnet.modeling import PositionSensitiveOutputLayers, RFCNROIHeads, make_resnet_stage

from .acnet_r18 import small_sampling
from .faster_rcnn_r18_c4 import model
from .heads import output_layers

model.roi_heads = L(RFCNROIHeads)(
    **small_sampling,
    in_features=["res4"],
    res5=L(make_resnet_stage)(depth=18, stage=5, stem_channels=48, dilation=2, norm="BN"),
    hidden_channels=256,
    box_predictor=output_layers(
        PositionSensitiveOutputLayers, channels="${...hidden_channels}", stride=16
    ),
)
# From random weights in few steps: with a plain mean the heads hardly left their start.
model.roi_heads.box_predictor.vote_gain = 7
