"""Table IV in small: RFBNet. Paper, at full size on VOC: 80.5 mAP (300), 82.1 (512).

python projects/ACNet/train_net.py --config-file toy/table4/rfbnet_r18
"""

from ...common.toy_row import dataloader, lr_multiplier, optimizer, train
from ...common.models.single_shot_r18 import rfbnet

model = rfbnet()
train.output_dir = "output/toy/table4/rfbnet_r18"
