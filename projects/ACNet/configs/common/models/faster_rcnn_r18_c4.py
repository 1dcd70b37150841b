"""`faster_rcnn_r101_c4` on the ResNet-18 of `acnet_r18`, from random weights. NOT IN PAPER."""

from detectron2.config import LazyCall as L

from acnet.modeling import Float32ROIPooler, SoftNMSRes5ROIHeads, make_resnet_stage

from .acnet_r18 import model, small, small_sampling
from .backbone import resnet
from .heads import output_layers

model.backbone = resnet(**small["resnet_config"])
model.backbone.out_features = ["res4"]

model.proposal_generator.in_features = ["res4"]
model.proposal_generator.head.in_channels = 192
model.proposal_generator.anchor_generator.strides = [16]

model.roi_heads = L(SoftNMSRes5ROIHeads)(
    **small_sampling,
    in_features=["res4"],
    # Half of the paper's 14: a lesion of 80 pixels covers five cells, and res5 costs a quarter.
    pooler=L(Float32ROIPooler)(
        output_size=7, scales=(1.0 / 16,), sampling_ratio=2, pooler_type="ROIAlignV2"
    ),
    # Batch statistics of the boxes that training samples would not fit those of prediction.
    res5=L(make_resnet_stage)(depth=18, stage=5, stem_channels=48, norm="GN"),
    box_predictor=output_layers(channels=384),
)
