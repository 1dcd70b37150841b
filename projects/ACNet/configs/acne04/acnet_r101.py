"""ACNet on ACNE04, the paper form: Tables I, II (h) and III (L2-L4, DCE). Paper: 20.5 mAP.

    python datasets/prepare_acne04.py
    python projects/ACNet/train_net.py --config-file acne04/acnet_r101 --num-gpus 2

Not measured here: it needs ACNE04 and two GPUs.
"""

from ..common.data.coco_tiles import dataloader
from ..common.models.acnet_r101 import model
from ..common.optim import SGD as optimizer
from ..common.optim import step_30_epochs as lr_multiplier
from ..common.train import train

# IV-A.1: 30 epochs, 2 GPUs of 2 images, learning rate 1e-4. The number of tiles follows from the
# photos, so the iterations are computed from the prepared set: 30 * tiles / 4.
train.epochs = 30
train.output_dir = "output/acne04/acnet_r101"
# detectron2 keeps this file; a path to a local copy works as well.
train.init_checkpoint = "detectron2://ImageNetPretrained/MSRA/R-101.pkl"
dataloader.train.total_batch_size = 4
