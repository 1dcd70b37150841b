"""Table I in small: Faster R-CNN on a plain ResNet. Paper, at full size: 10.3 mAP.

python projects/ACNet/train_net.py --config-file toy/table1/faster_rcnn_r18_c4
"""

from ...common.toy_row import dataloader, lr_multiplier, optimizer, train
from ...common.models.faster_rcnn_r18_c4 import model

train.output_dir = "output/toy/table1/faster_rcnn_r18_c4"
