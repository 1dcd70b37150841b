"""Table IV in small: CoupleNet. Paper, at full size on VOC: 82.7 mAP.

python projects/ACNet/train_net.py --config-file toy/table4/couplenet_r18
"""

from ...common.toy_row import dataloader, lr_multiplier, optimizer, train
from ...common.models.couplenet_r18 import model

train.output_dir = "output/toy/table4/couplenet_r18"
