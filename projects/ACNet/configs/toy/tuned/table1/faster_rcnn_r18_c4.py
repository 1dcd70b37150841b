"""Table I in small: Faster R-CNN, by the optimizer of the tuned rows. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/tuned/table1/faster_rcnn_r18_c4
"""

from ....common.optim import AdamW as optimizer
from ...table1.faster_rcnn_r18_c4 import dataloader, lr_multiplier, model, train

train.output_dir = "output/toy/tuned/table1/faster_rcnn_r18_c4"
