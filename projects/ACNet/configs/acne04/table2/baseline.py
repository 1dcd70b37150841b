"""Table II baseline: a single ResNet-101, L2-L4 summed at stride 8. Paper: 10.3 mAP.

python projects/ACNet/train_net.py --config-file acne04/table2/baseline --num-gpus 2
"""

from ..acnet_r101 import dataloader, lr_multiplier, model, optimizer, train
from ...common.models.backbone import acnet_backbone

model.backbone = acnet_backbone(
    composite=False, refinement=False, enhancement=False, attention=False
)
train.output_dir = "output/acne04/table2/baseline"
