"""Table II (e) in small: CB and MAMA. Paper, at full size: 16.7 mAP.

python projects/ACNet/train_net.py --config-file toy/table2/cb_mama
"""

from ...common.toy_row import dataloader, lr_multiplier, model, optimizer, toy_backbone, train

model.backbone = toy_backbone(refinement=False, enhancement=False)
train.output_dir = "output/toy/table2/cb_mama"
