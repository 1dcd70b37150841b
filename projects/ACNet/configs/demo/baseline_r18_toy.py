"""The baseline of the bundled weights, first stage, as long in time. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file demo/baseline_r18_toy
"""

from .acnet_r18_toy import dataloader, lr_multiplier, model, optimizer, train
from ..common.models.baseline_r18_demo import model

train.max_iter = 720  # of 0.21 s, where acnet_r18_toy takes 400 of 0.38 s, on one core
train.output_dir = "output/demo/baseline_r18_toy"
