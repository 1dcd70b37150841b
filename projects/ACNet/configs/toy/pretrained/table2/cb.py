"""Table II (b) in small, from a pretrained backbone: CB. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/pretrained/table2/cb
"""

from ....common.pretrained_row import backbone, dataloader, lr_multiplier, model, optimizer, train

model.backbone = backbone(refinement=False, enhancement=False, attention=False)
train.output_dir = "output/toy/pretrained/table2/cb"
