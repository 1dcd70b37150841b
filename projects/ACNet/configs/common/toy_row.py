"""What every row of `toy/` shares, so that rows differ in their parts alone. NOT IN PAPER.

The paper form on narrow ResNets: with the product gate, where `toy/acnet_r18` takes the residual
one. 250 iterations of 4 photos, from random weights: two minutes on one core. The learning
rate is the largest, of those tried, at which every row trains: at 0.02, CB with DCE diverges.
"""

from .data.coco_tiles import dataloader
from .models.acnet_r18 import model, small
from .models.backbone import acnet_backbone
from .optim import SGD as optimizer
from .optim import warm_cosine as lr_multiplier
from .train import train


def toy_backbone(**switches):
    """`acnet_backbone` in small, with the paper's gate if none is given."""
    return acnet_backbone(**{**small, "attention_gate": "product", **switches})


model.backbone = toy_backbone()

dataloader.train.dataset.names = "toy_trainval_0_tiles"
dataloader.test.dataset.names = "toy_test_0_tiles"
dataloader.train.total_batch_size = 4

optimizer.lr = 0.01
train.max_iter = 250
train.amp.enabled = "auto"
train.channels_last = True
train.checkpointer.period = 100
train.eval_period = 250
