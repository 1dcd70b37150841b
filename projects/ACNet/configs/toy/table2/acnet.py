"""Table II (h) in small: all parts, in the paper form. Paper, at full size: 20.5 mAP.

python projects/ACNet/train_net.py --config-file toy/table2/acnet
"""

from ...common.toy_row import dataloader, lr_multiplier, model, optimizer, toy_backbone, train

model.backbone = toy_backbone()
train.output_dir = "output/toy/table2/acnet"
