"""Table II baseline in small and in its tuned form: a single ResNet-18. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/tuned/table2/baseline
"""

from ....common.tuned_row import dataloader, lr_multiplier, model, optimizer, train, tuned_backbone

model.backbone = tuned_backbone(
    composite=False, refinement=False, enhancement=False, attention=False
)
train.output_dir = "output/toy/tuned/table2/baseline"
