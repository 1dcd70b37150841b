"""`faster_rcnn_r101_fpn` on the ResNet-18 of `acnet_r18`, from random weights. NOT IN PAPER."""

from .acnet_r18 import small, small_sampling
from .faster_rcnn_r101_fpn import fpn_backbone, model

model.backbone = fpn_backbone(resnet_config=small["resnet_config"], out_channels=96)

model.proposal_generator.head.update(in_channels=96, conv_dims=[96])
model.proposal_generator.anchor_generator.sizes = [[8], [16], [32], [64]]
model.proposal_generator.pre_nms_topk = (1000, 500)
model.proposal_generator.post_nms_topk = (500, 300)

model.roi_heads.update(small_sampling)
model.roi_heads.box_pooler.update(sampling_ratio=2, canonical_box_size=56)  # as the anchors
model.roi_heads.box_head.input_shape.channels = 96
model.roi_heads.box_head.fc_dims = [256, 256]
model.roi_heads.box_predictor.input_shape.channels = 256

model.pixel_std = [57.375, 57.120, 58.395]
