"""DES300 on PASCAL VOC 2007: Table IV. Paper: 79.7 mAP.

    curl -O https://download.pytorch.org/models/vgg16-397923af.pth
    DETECTRON2_DATASETS=/path/to/VOCdevkit \\
    python projects/ACNet/train_net.py --config-file voc07/des300_vgg16 --num-gpus 2

The paper says ResNet101; the number is that of DES's authors, whose DES300 is on VGG-16.
Not measured here: it needs GPUs. `toy/table4/des_r18` is its twin for a CPU.
"""

from ..common.models.peers_vgg16 import des
from ..common.voc07_square import at_size, dataloader, lr_multiplier, optimizer, train

model = des(300)
at_size(300)
train.output_dir = "output/voc07/des300_vgg16"
