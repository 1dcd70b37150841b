"""Table II (a) in small: FRM, DCE and MAMA. Paper, at full size: 15.1 mAP.

python projects/ACNet/train_net.py --config-file toy/table2/frm_dce_mama
"""

from ...common.toy_row import dataloader, lr_multiplier, model, optimizer, toy_backbone, train

model.backbone = toy_backbone(composite=False)
train.output_dir = "output/toy/table2/frm_dce_mama"
