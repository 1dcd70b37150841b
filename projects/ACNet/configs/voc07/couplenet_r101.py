"""CoupleNet on PASCAL VOC 2007: Table IV. Paper: 82.7 mAP.

    DETECTRON2_DATASETS=/path/to/VOCdevkit \\
    python projects/ACNet/train_net.py --config-file voc07/couplenet_r101 --num-gpus 2

The paper quotes that number, so this has the anchors of `voc07/rfcn_r101`, which CoupleNet extends.
"""

from .acnet_r101 import dataloader, lr_multiplier, optimizer, train
from ..common.models.couplenet_r101 import model

model.roi_heads.num_classes = 20
model.proposal_generator.anchor_generator.sizes = [[128, 256, 512]]
model.proposal_generator.head.num_anchors = 9
train.output_dir = "output/voc07/couplenet_r101"
