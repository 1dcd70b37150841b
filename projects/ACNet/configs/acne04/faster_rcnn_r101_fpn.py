"""Faster R-CNN with FPN on ACNE04. NOT IN PAPER: what people would try first today.

python projects/ACNet/train_net.py --config-file acne04/faster_rcnn_r101_fpn --num-gpus 2
"""

from .acnet_r101 import dataloader, lr_multiplier, optimizer, train
from ..common.models.faster_rcnn_r101_fpn import model

train.output_dir = "output/acne04/faster_rcnn_r101_fpn"
