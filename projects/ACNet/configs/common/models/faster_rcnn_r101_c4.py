"""Faster R-CNN with RoIAlign on a plain ResNet-101: detectron2's R101-C4, in this paper's settings.

NOT IN PAPER: what it calls Faster R-CNN in Table I. C4 is what the name stands for there and in
R-FCN: one ResNet up to res4 at stride 16, res5 on 14x14 RoIAlign as the box head. Anchors (32 to
256), RPN, losses and Soft-NMS are those of `acnet_r101`, so that only the feature path differs.
"""

from .acnet_r101 import model
from .backbone import resnet

model.backbone = resnet(depth=101)
model.backbone.out_features = ["res4"]

model.proposal_generator.in_features = ["res4"]
model.proposal_generator.head.in_channels = 1024
model.proposal_generator.anchor_generator.strides = [16]

model.roi_heads.in_features = ["res4"]
model.roi_heads.pooler.scales = (1.0 / 16,)
