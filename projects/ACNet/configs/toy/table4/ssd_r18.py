"""Table IV in small: SSD. Paper, at full size on VOC: 77.2 mAP (300), 79.5 (512).

python projects/ACNet/train_net.py --config-file toy/table4/ssd_r18
"""

from ...common.toy_row import dataloader, lr_multiplier, optimizer, train
from ...common.models.single_shot_r18 import ssd

model = ssd()
train.output_dir = "output/toy/table4/ssd_r18"
