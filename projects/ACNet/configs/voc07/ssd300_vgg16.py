"""SSD300 on PASCAL VOC 2007: Table IV. Paper: 77.2 mAP.

    curl -O https://download.pytorch.org/models/vgg16-397923af.pth
    DETECTRON2_DATASETS=/path/to/VOCdevkit \\
    python projects/ACNet/train_net.py --config-file voc07/ssd300_vgg16 --num-gpus 2

Not measured here: it needs GPUs. `toy/table4/ssd_r18` is its twin for a CPU.
"""

from ..common.models.ssd_vgg16 import ssd
from ..common.voc07_square import at_size, dataloader, lr_multiplier, optimizer, train

model = ssd(300)
at_size(300)
train.output_dir = "output/voc07/ssd300_vgg16"
