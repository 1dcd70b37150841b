"""Table IV in small: DSSD. Paper, at full size on VOC: 78.6 mAP (321), 81.5 (513).

python projects/ACNet/train_net.py --config-file toy/table4/dssd_r18
"""

from ...common.toy_row import dataloader, lr_multiplier, optimizer, train
from ...common.models.single_shot_r18 import dssd

model = dssd()
train.output_dir = "output/toy/table4/dssd_r18"
