"""R-FCN on ResNet-101: `faster_rcnn_r101_c4` with position-sensitive heads.

NOT IN PAPER: everything but the name. As in R-FCN [7]: res5 with dilation in the place of its
stride, 1024 channels, 7x7 bins, one box for all classes; without its hard example mining, so that
losses and sampling are those of the other rows.
"""

from detectron2.config import LazyCall as L

from acnet.modeling import PositionSensitiveOutputLayers, RFCNROIHeads, make_resnet_stage

from .faster_rcnn_r101_c4 import model
from .heads import output_layers, sampling

model.roi_heads = L(RFCNROIHeads)(
    **sampling(),
    in_features=["res4"],
    res5=L(make_resnet_stage)(depth=101, stage=5, dilation=2, norm="FrozenBN", stride_in_1x1=True),
    hidden_channels=1024,
    box_predictor=output_layers(
        PositionSensitiveOutputLayers, channels="${...hidden_channels}", stride=16
    ),
)
