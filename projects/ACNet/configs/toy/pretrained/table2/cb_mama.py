"""Table II (e) in small, from a pretrained backbone: CB + MAMA. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/pretrained/table2/cb_mama
"""

from ....common.pretrained_row import backbone, dataloader, lr_multiplier, model, optimizer, train

model.backbone = backbone(refinement=False, enhancement=False)
train.output_dir = "output/toy/pretrained/table2/cb_mama"
