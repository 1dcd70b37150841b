"""Tuned Table II (h) in small, its mask left to itself: for `projects/ACNet/figure5 --saliency`.

NOT IN PAPER: III-C.1 sets its supervised mask against "unsupervised attention structures" and shows
no comparison. The same model without the attention loss is that comparison.

python projects/ACNet/train_net.py --config-file toy/figure5/mask_unsupervised
"""

from ..tuned.table2.acnet import dataloader, lr_multiplier, model, optimizer, train

model.backbone.loss_weight = 0.0
train.output_dir = "output/toy/figure5/mask_unsupervised"
