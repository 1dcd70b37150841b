"""Table II (f) in small: CB, FRM and DCE. Paper, at full size: 17.9 mAP.

python projects/ACNet/train_net.py --config-file toy/table2/cb_frm_dce
"""

from ...common.toy_row import dataloader, lr_multiplier, model, optimizer, toy_backbone, train

model.backbone = toy_backbone(attention=False)
train.output_dir = "output/toy/table2/cb_frm_dce"
