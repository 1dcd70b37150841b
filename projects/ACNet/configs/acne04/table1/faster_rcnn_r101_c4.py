"""Table I: Faster R-CNN on a plain ResNet-101. Paper: 10.3 mAP.

python projects/ACNet/train_net.py --config-file acne04/table1/faster_rcnn_r101_c4 --num-gpus 2
"""

from ..acnet_r101 import dataloader, lr_multiplier, optimizer, train
from ...common.models.faster_rcnn_r101_c4 import model

train.output_dir = "output/acne04/table1/faster_rcnn_r101_c4"
