"""Table II (c) in small: CB and FRM. Paper, at full size: 15.7 mAP.

python projects/ACNet/train_net.py --config-file toy/table2/cb_frm
"""

from ...common.toy_row import dataloader, lr_multiplier, model, optimizer, toy_backbone, train

model.backbone = toy_backbone(enhancement=False, attention=False)
train.output_dir = "output/toy/table2/cb_frm"
