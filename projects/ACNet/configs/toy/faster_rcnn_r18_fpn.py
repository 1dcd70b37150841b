"""Faster R-CNN with FPN in small. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/faster_rcnn_r18_fpn
"""

from ..common.toy_row import dataloader, lr_multiplier, optimizer, train
from ..common.models.faster_rcnn_r18_fpn import model

train.output_dir = "output/toy/faster_rcnn_r18_fpn"
