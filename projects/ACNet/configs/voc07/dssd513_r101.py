"""DSSD513 on PASCAL VOC 2007: Table IV. Paper: 81.5 mAP.

    DETECTRON2_DATASETS=/path/to/VOCdevkit \\
    python projects/ACNet/train_net.py --config-file voc07/dssd513_r101 --num-gpus 2

Not measured here: it needs GPUs. `toy/table4/dssd_r18` is its twin for a CPU.
"""

from ..common.models.dssd_r101 import dssd
from ..common.voc07_square import at_size, dataloader, lr_multiplier, optimizer, train

model = dssd(513)
at_size(513)
train.output_dir = "output/voc07/dssd513_r101"
train.init_checkpoint = "detectron2://ImageNetPretrained/MSRA/R-101.pkl"
