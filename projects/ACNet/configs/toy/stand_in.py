"""The tuned baseline whose ResNet stands in for one of ImageNet. NOT IN PAPER.

Half an hour of one CPU core. docs/lab/results/pretrained/README.md

python projects/ACNet/train_net.py --config-file toy/stand_in
"""

from ..common.models.backbone import TUNED
from ..common.optim import AdamW as optimizer
from ..common.pretrained_row import backbone, dataloader, lr_multiplier, model, train

model.backbone = backbone(
    composite=False,
    refinement=False,
    enhancement=False,
    attention=False,
    projection_norm=TUNED["projection_norm"],
    resnet_config=dict(depth=18, stem_channels=24, norm="BN", freeze_at=0),
)

dataloader.train.dataset.names = "toy_more_trainval_0_tiles"
dataloader.test.dataset.names = "toy_more_test_0_tiles"

train.init_checkpoint = ""
train.max_iter = 8000
train.eval_period = 2000
train.checkpointer.period = 500
train.output_dir = "output/toy/stand_in"
