"""ACNet on ResNet-18 widths, from random weights, for a CPU.

NOT IN PAPER: everything here. The same parts as in the paper, narrower; two fully connected layers
in the place of res5; real BN throughout, because nothing is pretrained; anchors for lesions of 6 to
80 pixels.
"""

from detectron2.config import LazyCall as L
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads import FastRCNNConvFCHead

from acnet.modeling import Float32ROIPooler, SoftNMSROIHeads

from .acnet_r101 import model
from .backbone import acnet_backbone
from .heads import output_layers, sampling

# Widths of every row on this model: Tables II and III in small.
small = dict(
    resnet_config=dict(depth=18, stem_channels=48, norm="BN", freeze_at=0),
    merged_channels=96,
    out_channels=256,
    attention_width=0.25,
    mask_channels=64,
    # From random weights the paper's product halves a map that has yet to learn anything.
    attention_gate="residual",
)
small_sampling = sampling(batch_size_per_image=64, positive_fraction=0.5)

model.backbone = acnet_backbone(**small)

model.proposal_generator.head.in_channels = 256
model.proposal_generator.head.conv_dims = [128]
model.proposal_generator.anchor_generator.sizes = [[8, 16, 32, 64]]
model.proposal_generator.pre_nms_topk = (2000, 1000)
model.proposal_generator.post_nms_topk = (500, 300)

model.roi_heads = L(SoftNMSROIHeads)(
    **small_sampling,
    box_in_features=["p3"],
    box_pooler=L(Float32ROIPooler)(
        output_size=7, scales=(1.0 / 8,), sampling_ratio=2, pooler_type="ROIAlignV2"
    ),
    box_head=L(FastRCNNConvFCHead)(
        input_shape=L(ShapeSpec)(channels=256, height=7, width=7), conv_dims=[], fc_dims=[256, 256]
    ),
    box_predictor=output_layers(channels=256),
)

model.pixel_std = [57.375, 57.120, 58.395]
