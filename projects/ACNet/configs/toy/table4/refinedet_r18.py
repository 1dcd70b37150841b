"""Table IV in small: RefineDet. Paper, at full size on VOC: 80.0 mAP (320), 81.8 (512).

python projects/ACNet/train_net.py --config-file toy/table4/refinedet_r18
"""

from ...common.toy_row import dataloader, lr_multiplier, optimizer, train
from ...common.models.single_shot_r18 import refinedet

model = refinedet()
train.output_dir = "output/toy/table4/refinedet_r18"
