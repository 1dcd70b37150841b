"""Table II (d) in small: CB and DCE. Paper, at full size: 16.2 mAP.

python projects/ACNet/train_net.py --config-file toy/table2/cb_dce
"""

from ...common.toy_row import dataloader, lr_multiplier, model, optimizer, toy_backbone, train

model.backbone = toy_backbone(refinement=False, attention=False)
train.output_dir = "output/toy/table2/cb_dce"
