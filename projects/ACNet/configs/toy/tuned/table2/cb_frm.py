"""Table II (c) in small and in its tuned form: CB and FRM. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/tuned/table2/cb_frm
"""

from ....common.tuned_row import dataloader, lr_multiplier, model, optimizer, train, tuned_backbone

model.backbone = tuned_backbone(enhancement=False, attention=False)
train.output_dir = "output/toy/tuned/table2/cb_frm"
