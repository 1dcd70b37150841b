"""The bundled weights, first stage: generated photos. NOT IN PAPER.

make demo  # draws the photos; or `acnet data toy` and datasets/prepare_acne04.py
python projects/ACNet/train_net.py --config-file demo/acnet_r18_toy
"""

from ..common.data.augmented import crops
from ..common.data.coco_tiles import dataloader
from ..common.models.acnet_r18_demo import model
from ..common.optim import AdamW as optimizer
from ..common.optim import warm_cosine as lr_multiplier
from ..common.train import train

dataloader.train.dataset.names = "toy_trainval_0_tiles"
dataloader.test.dataset.names = "toy_test_0_tiles"
dataloader.train.total_batch_size = 4
dataloader.train.mapper.augmentations = crops(
    photo_px=320, crop_px=320, min_scale=1.0, max_scale=1.5
)

train.max_iter = 400
train.output_dir = "output/demo/acnet_r18_toy"
train.amp.enabled = "auto"
train.channels_last = True
train.checkpointer.period = 100
train.eval_period = 400
