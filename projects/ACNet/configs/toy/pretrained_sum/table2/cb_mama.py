"""Table II (e) in small, pretrained, MAMA as a sum: CB + MAMA. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/pretrained_sum/table2/cb_mama
"""

from ....common.pretrained_row import backbone, dataloader, lr_multiplier, model, optimizer, train

model.backbone = backbone(refinement=False, enhancement=False, attention_gate="sum")
train.output_dir = "output/toy/pretrained_sum/table2/cb_mama"
