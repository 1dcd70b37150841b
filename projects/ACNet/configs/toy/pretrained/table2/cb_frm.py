"""Table II (c) in small, from a pretrained backbone: CB + FRM. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/pretrained/table2/cb_frm
"""

from ....common.pretrained_row import (
    dataloader,
    lr_multiplier,
    model,
    optimizer,
    pretrained_backbone,
    train,
)

model.backbone = pretrained_backbone(enhancement=False, attention=False)
train.output_dir = "output/toy/pretrained/table2/cb_frm"
