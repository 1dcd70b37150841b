"""Faster R-CNN in small beside `voc07/acnet_r18`, on the same photos. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file voc07/faster_rcnn_r18_c4
"""

from .acnet_r18 import dataloader, lr_multiplier, optimizer, train
from ..common.models.faster_rcnn_r18_c4 import model

model.roi_heads.num_classes = 20
model.proposal_generator.anchor_generator.sizes = [[32, 64, 128, 256]]  # as voc07/acnet_r18
train.output_dir = "output/voc07/faster_rcnn_r18_c4"
