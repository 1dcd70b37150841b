"""Table III: L1-L4 with DCE. Paper: 20.0 mAP.

python projects/ACNet/train_net.py --config-file acne04/table3/l1_l4 --num-gpus 2
"""

from ..acnet_r101 import dataloader, lr_multiplier, model, optimizer, train
from ...common.models.backbone import acnet_backbone

model.backbone = acnet_backbone(in_features=("stem", "res2", "res3", "res4"))
train.output_dir = "output/acne04/table3/l1_l4"
