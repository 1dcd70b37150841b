"""Table II baseline in small, from a pretrained backbone: no part of ACNet. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/pretrained/table2/baseline
"""

from ....common.pretrained_row import backbone, dataloader, lr_multiplier, model, optimizer, train

model.backbone = backbone(composite=False, refinement=False, enhancement=False, attention=False)
train.output_dir = "output/toy/pretrained/table2/baseline"
