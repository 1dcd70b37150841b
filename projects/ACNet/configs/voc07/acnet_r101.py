"""ACNet on PASCAL VOC 2007: Table IV. Paper: 81.8 mAP.

    DETECTRON2_DATASETS=/path/to/VOCdevkit \\
    python projects/ACNet/train_net.py --config-file voc07/acnet_r101 --num-gpus 2

Not measured here: it needs GPUs. `voc07/acnet_r18` is the same on narrow ResNets, for a CPU.
"""

from ..common.data.voc07 import dataloader
from ..common.models.acnet_r101 import model
from ..common.optim import SGD as optimizer
from ..common.optim import step_30_epochs as lr_multiplier
from ..common.train import train

model.roi_heads.num_classes = 20
# 5,011 (2007) + 11,540 (2012) photos: 30 * 16,551 / 4 = 124,133 iterations.
train.epochs = 30
train.output_dir = "output/voc07/acnet_r101"
train.init_checkpoint = "detectron2://ImageNetPretrained/MSRA/R-101.pkl"
dataloader.train.total_batch_size = 4
