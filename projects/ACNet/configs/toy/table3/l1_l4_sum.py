"""Table III in small: L1-L4 added up without DCE. Paper, at full size: 18.1 mAP.

python projects/ACNet/train_net.py --config-file toy/table3/l1_l4_sum
"""

from ...common.toy_row import dataloader, lr_multiplier, model, optimizer, toy_backbone, train

model.backbone = toy_backbone(enhancement=False, in_features=("stem", "res2", "res3", "res4"))
train.output_dir = "output/toy/table3/l1_l4_sum"
