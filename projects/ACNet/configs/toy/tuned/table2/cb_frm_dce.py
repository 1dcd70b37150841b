"""Table II (f) in small and in its tuned form: CB, FRM and DCE. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/tuned/table2/cb_frm_dce
"""

from ....common.tuned_row import dataloader, lr_multiplier, model, optimizer, train, tuned_backbone

model.backbone = tuned_backbone(attention=False)
train.output_dir = "output/toy/tuned/table2/cb_frm_dce"
