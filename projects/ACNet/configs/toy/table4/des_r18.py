"""Table IV in small: DES. Paper, at full size on VOC: 79.7 mAP (300), 81.7 (512).

python projects/ACNet/train_net.py --config-file toy/table4/des_r18
"""

from ...common.toy_row import dataloader, lr_multiplier, optimizer, train
from ...common.models.single_shot_r18 import des

model = des()
train.output_dir = "output/toy/table4/des_r18"
