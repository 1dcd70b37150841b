"""What every row of `toy/pretrained/` shares: the paper's regime in small. NOT IN PAPER.

The paper form, narrower than `toy_row`, on a backbone that has been trained before and whose norms
are frozen, as ImageNet's weights are given to the paper's.
docs/lab/results/pretrained/README.md says how that backbone is made.
"""

from .data.coco_tiles import dataloader
from .models.acnet_r18 import model, small
from .models.backbone import acnet_backbone
from .optim import SGD as optimizer
from .optim import warm_cosine as lr_multiplier
from .toy_row import train

narrow = dict(
    resnet_config=dict(depth=18, stem_channels=24, norm="FrozenBN", freeze_at=2),
    merged_channels=48,
    out_channels=128,
    attention_width=0.125,
    mask_channels=32,
    attention_gate="product",
)


def backbone(**switches):
    """`acnet_backbone` in small, narrow and with frozen norms."""
    return acnet_backbone(**{**small, **narrow, **switches})


model.backbone = backbone()
model.proposal_generator.head.in_channels = 128
model.proposal_generator.head.conv_dims = [64]
model.roi_heads.box_head.input_shape.channels = 128
model.roi_heads.box_head.fc_dims = [128, 128]
model.roi_heads.box_predictor.input_shape.channels = 128

dataloader.train.dataset.names = "toy_trainval_0_tiles"
dataloader.test.dataset.names = "toy_test_0_tiles"
dataloader.train.total_batch_size = 4

optimizer.lr = 0.01
train.init_checkpoint = "output/toy/stand_in/resnet.pth"
