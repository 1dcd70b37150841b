"""RefineDet320 on PASCAL VOC 2007: Table IV. Paper: 80.0 mAP.

    curl -O https://download.pytorch.org/models/vgg16-397923af.pth
    DETECTRON2_DATASETS=/path/to/VOCdevkit \\
    python projects/ACNet/train_net.py --config-file voc07/refinedet320_vgg16 --num-gpus 2

The paper says 300x300; RefineDet's smaller size is 320, which its strides divide.
Not measured here: it needs GPUs. `toy/table4/refinedet_r18` is its twin for a CPU.
"""

from ..common.models.peers_vgg16 import refinedet
from ..common.voc07_square import at_size, dataloader, lr_multiplier, optimizer, train

model = refinedet()
at_size(320)
train.output_dir = "output/voc07/refinedet320_vgg16"
