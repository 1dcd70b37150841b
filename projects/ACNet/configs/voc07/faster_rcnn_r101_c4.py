"""Faster R-CNN on PASCAL VOC 2007: Table IV. Paper: 76.4 mAP.

    DETECTRON2_DATASETS=/path/to/VOCdevkit \\
    python projects/ACNet/train_net.py --config-file voc07/faster_rcnn_r101_c4 --num-gpus 2

The paper quotes that number, so this has the anchors of its source: 128, 256 and 512 pixels.
"""

from .acnet_r101 import dataloader, lr_multiplier, optimizer, train
from ..common.models.faster_rcnn_r101_c4 import model

model.roi_heads.num_classes = 20
model.proposal_generator.anchor_generator.sizes = [[128, 256, 512]]
model.proposal_generator.head.num_anchors = 9
train.output_dir = "output/voc07/faster_rcnn_r101_c4"
