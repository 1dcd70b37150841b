"""Table II (a) in small and in its tuned form: FRM, DCE and MAMA on a single ResNet. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/tuned/table2/frm_dce_mama
"""

from ....common.tuned_row import dataloader, lr_multiplier, model, optimizer, train, tuned_backbone

model.backbone = tuned_backbone(composite=False)
train.output_dir = "output/toy/tuned/table2/frm_dce_mama"
