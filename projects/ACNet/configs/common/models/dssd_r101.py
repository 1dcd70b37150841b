"""DSSD321 and DSSD513 on ResNet-101.

NOT IN PAPER: everything but names and input sizes. As in DSSD: res5 keeps stride 16 by a dilation,
prediction modules (c), deconvolution modules with a product, ratios of 1.6, 2 and 3 on every level.
The smaller levels are plain convolutions with BN where DSSD's are residual, and all is trained at
once where DSSD trains an SSD first. Weights before training: MSRA's R-101.pkl.
"""

from detectron2.config import LazyCall as L

from acnet import peers
from acnet.modeling import make_resnet_stage

from .acnet_r101 import model as acnet
from .backbone import resnet
from .ssd_vgg16 import SSD_LEVELS, default_boxes, head

EXTRA = {
    321: dict(strides=[2, 2, 2, 1], paddings=[1, 1, 1, 0]),
    513: dict(strides=[2, 2, 2, 2, 1], paddings=[1, 1, 1, 1, 0]),
}
CELLS = {321: [41, 21, 11, 6, 3, 1], 513: [65, 33, 17, 9, 5, 3, 1]}  # of a side, level by level


def dssd(size_px):
    """DSSD for pictures of size_px x size_px."""
    bottom_up = resnet(depth=101)
    bottom_up.stages = [
        L(make_resnet_stage)(
            depth=101, stage=stage, dilation=dilation, norm="FrozenBN", stride_in_1x1=True
        )
        for stage, dilation in ((2, 1), (3, 1), (4, 1), (5, 2))
    ]
    bottom_up.out_features = ["res3", "res5"]
    extra, percent = EXTRA[size_px], SSD_LEVELS[{321: 300, 513: 512}[size_px]]["percent"]
    count = len(extra["strides"])
    strides = [size_px / cells for cells in CELLS[size_px]]
    ratios = [[1.6, 2, 3]] * len(strides)
    channels = [512] * (len(strides) - 1)
    return L(peers.SSD)(
        backbone=L(peers.DeconvolutionLevels)(
            bottom_up=L(peers.ExtraLevels)(
                bottom_up=bottom_up,
                hidden_channels=[256] * count,
                out_channels=[1024] * count,
                norm="BN",
                **extra,
            ),
            channels=512,
        ),
        head=head(peers.DSSDHead, [*channels, 1024], ratios),
        default_boxes=default_boxes(
            size_px=size_px, strides=strides, percent=percent, aspect_ratios=ratios
        ),
        num_classes=20,
        pixel_mean=acnet.pixel_mean,
        pixel_std=acnet.pixel_std,
        input_format="BGR",
    )
