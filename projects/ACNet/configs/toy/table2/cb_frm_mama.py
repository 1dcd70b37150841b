"""Table II (g) in small: CB, FRM and MAMA. Paper, at full size: 18.5 mAP.

python projects/ACNet/train_net.py --config-file toy/table2/cb_frm_mama
"""

from ...common.toy_row import dataloader, lr_multiplier, model, optimizer, toy_backbone, train

model.backbone = toy_backbone(enhancement=False)
train.output_dir = "output/toy/table2/cb_frm_mama"
