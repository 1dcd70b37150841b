"""Table III: L1-L4 added up without DCE. Paper: 18.1 mAP.

python projects/ACNet/train_net.py --config-file acne04/table3/l1_l4_sum --num-gpus 2
"""

from ..acnet_r101 import dataloader, lr_multiplier, model, optimizer, train
from ...common.models.backbone import acnet_backbone

model.backbone = acnet_backbone(enhancement=False, in_features=("stem", "res2", "res3", "res4"))
train.output_dir = "output/acne04/table3/l1_l4_sum"
