"""Table II (h) in small, from a pretrained backbone: CB + FRM + DCE + MAMA. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/pretrained/table2/acnet
"""

from ....common.pretrained_row import backbone, dataloader, lr_multiplier, model, optimizer, train

model.backbone = backbone()
train.output_dir = "output/toy/pretrained/table2/acnet"
