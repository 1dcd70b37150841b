"""`voc07/acnet_r101` on ResNet-18 widths, from random weights, for a CPU. NOT IN PAPER.

    python projects/ACNet/train_net.py --config-file voc07/acnet_r18

Proof that model, loss and evaluator work on real photos: it memorises 80 photos of VOC 2007.
Point DETECTRON2_DATASETS at a folder that holds them as VOC2007/{Annotations,ImageSets,JPEGImages}.
"""

from .acnet_r101 import dataloader, lr_multiplier, model, optimizer, train
from ..common.models.acnet_r18 import model
from ..common.optim import warm_cosine as lr_multiplier

model.roi_heads.num_classes = 20
model.proposal_generator.anchor_generator.sizes = [[32, 64, 128, 256]]

# Half of the paper's 1000x600, and no flip: the aim is to remember.
dataloader.train.dataset.names = "voc_2007_trainval"
for _mapper in (dataloader.train.mapper, dataloader.test.mapper):
    _mapper.augmentations = _mapper.augmentations[:1]
    _mapper.augmentations[0].update(short_edge_length=256, max_size=416)

optimizer.lr = 0.02
train.epochs = None
train.max_iter = 1200
train.init_checkpoint = ""
train.output_dir = "output/voc07/acnet_r18"
train.amp.enabled = "auto"
train.channels_last = True
train.checkpointer.period = 200
train.eval_period = 400
