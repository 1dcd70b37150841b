"""What the one-stage rows of Table IV share: VOC 2007 + 2012 at a fixed square size.

NOT IN PAPER: everything here. SSD's 120,000 iterations of 32 images with a learning rate of 1e-3,
down to a tenth after two thirds and five sixths, its weight decay, flips and random crops. Its
distortions of colour are detectron2's changes of brightness, contrast and saturation, and it does
not zoom out.
"""

from detectron2.config import LazyCall as L
from detectron2.data import transforms as T
from fvcore.common.param_scheduler import MultiStepParamScheduler
from detectron2.solver import WarmupParamScheduler

from .data.voc07 import dataloader
from .optim import SGD as optimizer
from .train import train

lr_multiplier = L(WarmupParamScheduler)(
    scheduler=L(MultiStepParamScheduler)(
        values=[1, 0.1, 0.01], milestones=[80_000, 100_000], num_updates=120_000
    ),
    warmup_length=500 / 120_000,
    warmup_factor=0.01,
)
optimizer.lr = 1e-3
optimizer.weight_decay = 5e-4
train.max_iter = 120_000
# ImageNet's, from https://download.pytorch.org/models/, in the folder where training starts.
train.init_checkpoint = "vgg16-397923af.pth"
dataloader.train.total_batch_size = 32


def at_size(size_px):
    """Show every picture at this size, whatever its shape."""
    resize = L(T.Resize)(shape=[size_px, size_px])
    dataloader.train.mapper.augmentations = [
        L(T.RandomCrop)(crop_type="relative_range", crop_size=[0.5, 0.5]),
        resize,
        L(T.RandomFlip)(horizontal=True),
        L(T.RandomBrightness)(intensity_min=0.75, intensity_max=1.25),
        L(T.RandomContrast)(intensity_min=0.5, intensity_max=1.5),
        L(T.RandomSaturation)(intensity_min=0.5, intensity_max=1.5),
    ]
    dataloader.test.mapper.augmentations = [resize]
