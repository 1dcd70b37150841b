"""RFBNet512 on PASCAL VOC 2007: Table IV. Paper: 82.1 mAP.

    curl -O https://download.pytorch.org/models/vgg16-397923af.pth
    DETECTRON2_DATASETS=/path/to/VOCdevkit \\
    python projects/ACNet/train_net.py --config-file voc07/rfbnet512_vgg16 --num-gpus 2

Not measured here: it needs GPUs. `toy/table4/rfbnet_r18` is its twin for a CPU.
"""

from ..common.models.peers_vgg16 import rfbnet
from ..common.voc07_square import at_size, dataloader, lr_multiplier, optimizer, train

model = rfbnet(512)
at_size(512)
train.output_dir = "output/voc07/rfbnet512_vgg16"
