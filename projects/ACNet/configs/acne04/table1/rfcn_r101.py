"""Table I: R-FCN on ResNet-101. Paper: 14.0 mAP.

python projects/ACNet/train_net.py --config-file acne04/table1/rfcn_r101 --num-gpus 2
"""

from ..acnet_r101 import dataloader, lr_multiplier, optimizer, train
from ...common.models.rfcn_r101 import model

train.output_dir = "output/acne04/table1/rfcn_r101"
