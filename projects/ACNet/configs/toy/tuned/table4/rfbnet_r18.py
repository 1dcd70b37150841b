"""Table IV in small: RFBNet, by the optimizer of the tuned rows. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/tuned/table4/rfbnet_r18
"""

from ....common.optim import AdamW as optimizer
from ...table4.rfbnet_r18 import dataloader, lr_multiplier, model, train

train.output_dir = "output/toy/tuned/table4/rfbnet_r18"
