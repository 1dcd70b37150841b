"""Table II (f) in small, from a pretrained backbone: CB + FRM + DCE. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/pretrained/table2/cb_frm_dce
"""

from ....common.pretrained_row import backbone, dataloader, lr_multiplier, model, optimizer, train

model.backbone = backbone(attention=False)
train.output_dir = "output/toy/pretrained/table2/cb_frm_dce"
