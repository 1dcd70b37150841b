"""Table II (f): CB, FRM and DCE. Paper: 17.9 mAP.

python projects/ACNet/train_net.py --config-file acne04/table2/cb_frm_dce --num-gpus 2
"""

from ..acnet_r101 import dataloader, lr_multiplier, model, optimizer, train
from ...common.models.backbone import acnet_backbone

model.backbone = acnet_backbone(attention=False)
train.output_dir = "output/acne04/table2/cb_frm_dce"
