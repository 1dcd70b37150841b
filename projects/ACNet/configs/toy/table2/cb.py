"""Table II (b) in small: the composite backbone alone. Paper, at full size: 15.2 mAP.

python projects/ACNet/train_net.py --config-file toy/table2/cb
"""

from ...common.toy_row import dataloader, lr_multiplier, model, optimizer, toy_backbone, train

model.backbone = toy_backbone(refinement=False, enhancement=False, attention=False)
train.output_dir = "output/toy/table2/cb"
