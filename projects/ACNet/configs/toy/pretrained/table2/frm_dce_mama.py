"""Table II (a) in small, from a pretrained backbone: FRM + DCE + MAMA. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/pretrained/table2/frm_dce_mama
"""

from ....common.pretrained_row import backbone, dataloader, lr_multiplier, model, optimizer, train

model.backbone = backbone(composite=False)
train.output_dir = "output/toy/pretrained/table2/frm_dce_mama"
