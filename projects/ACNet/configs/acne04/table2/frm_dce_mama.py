"""Table II (a): FRM, DCE and MAMA on a single ResNet-101. Paper: 15.1 mAP.

python projects/ACNet/train_net.py --config-file acne04/table2/frm_dce_mama --num-gpus 2
"""

from ..acnet_r101 import dataloader, lr_multiplier, model, optimizer, train
from ...common.models.backbone import acnet_backbone

model.backbone = acnet_backbone(composite=False)
train.output_dir = "output/acne04/table2/frm_dce_mama"
