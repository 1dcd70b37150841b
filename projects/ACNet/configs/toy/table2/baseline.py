"""Table II baseline in small: one ResNet, L2-L4 summed at stride 8. Paper, at full size: 10.3 mAP.

python projects/ACNet/train_net.py --config-file toy/table2/baseline
"""

from ...common.toy_row import dataloader, lr_multiplier, model, optimizer, toy_backbone, train

model.backbone = toy_backbone(composite=False, refinement=False, enhancement=False, attention=False)
train.output_dir = "output/toy/table2/baseline"
