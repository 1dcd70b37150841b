"""The baseline of the weights that come along, second stage, as long in time. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file demo/baseline_r18 \\
    train.init_checkpoint=output/demo/baseline_r18_toy/model_final.pth
"""

from .acnet_r18 import dataloader, lr_multiplier, model, optimizer, train
from ..common.models.baseline_r18_demo import model

train.max_iter = 8800  # of 0.21 s, where acnet_r18 takes 4,000 of 0.45 s, on one core
train.output_dir = "output/demo/baseline_r18"
