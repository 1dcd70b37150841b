"""Table I in small: R-FCN. Paper, at full size: 14.0 mAP.

python projects/ACNet/train_net.py --config-file toy/table1/rfcn_r18
"""

from ...common.toy_row import dataloader, lr_multiplier, optimizer, train
from ...common.models.rfcn_r18 import model

train.output_dir = "output/toy/table1/rfcn_r18"
