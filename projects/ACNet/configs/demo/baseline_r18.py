"""The baseline of the bundled weights, second stage, as many steps. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file demo/baseline_r18 \\
    train.init_checkpoint=output/demo/baseline_r18_toy/model_final.pth
"""

from .acnet_r18 import dataloader, lr_multiplier, model, optimizer, photos, train
from ..common.models.baseline_r18_demo import model

train.output_dir = "output/demo/baseline_r18"
