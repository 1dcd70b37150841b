"""Table II (d): CB and DCE. Paper: 16.2 mAP.

python projects/ACNet/train_net.py --config-file acne04/table2/cb_dce --num-gpus 2
"""

from ..acnet_r101 import dataloader, lr_multiplier, model, optimizer, train
from ...common.models.backbone import acnet_backbone

model.backbone = acnet_backbone(refinement=False, attention=False)
train.output_dir = "output/acne04/table2/cb_dce"
