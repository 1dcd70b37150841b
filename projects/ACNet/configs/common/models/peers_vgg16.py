"""RFBNet, RefineDet and DES on VGG-16, at the sizes of Table IV.

NOT IN PAPER: everything but names and input sizes. Each is as its authors built it, as far as their
text goes. The weights before training are those of `ssd_vgg16`.
"""

from detectron2.config import LazyCall as L
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator

from acnet import peers

from .ssd_vgg16 import IMAGENET, SSD_LEVELS, default_boxes, head, ssd


def rfbnet(size_px):
    """RFBNet: SSD's levels by receptive field blocks, BN in all that is new.

    conv4_3 needs no L2 norm, since its block ends in BN, and has six boxes a cell.
    """
    ratios = [[2, 3], *SSD_LEVELS[size_px]["aspect_ratios"][1:]]
    levels = {**SSD_LEVELS[size_px], "aspect_ratios": ratios}
    blocks = {300: [512, 256], 512: [512, 256, 256, 256]}[size_px]
    extra = {
        300: dict(strides=[1, 1], paddings=[0, 0], kernel_sizes=[3, 3]),
        512: dict(strides=[1], paddings=[1], kernel_sizes=[4]),
    }[size_px]
    count = len(extra["strides"])
    return L(peers.SSD)(
        backbone=L(peers.ExtraLevels)(
            bottom_up=L(peers.ReceptiveFieldLevels)(
                bottom_up=L(peers.VGG16)(out_features=["conv4_3", "conv7"]), out_channels=blocks
            ),
            hidden_channels=[128] * count,
            out_channels=[256] * count,
            norm="BN",
            **extra,
        ),
        head=head(peers.SSDHead, [512, 1024, *blocks, *[256] * count], ratios),
        default_boxes=default_boxes(size_px=size_px, **levels),
        num_classes=20,
        **IMAGENET,
    )


def des(size_px):
    """DES: SSD with a segmentation of conv4_3 and global activation behind it."""
    model = ssd(size_px)
    model._target_ = peers.DES
    model.head._target_ = peers.DESHead
    return model


def refinedet():
    """RefineDet: four levels of strides 8 to 64, three anchors of four strides' size in a cell."""
    strides = [8, 16, 32, 64]
    return L(peers.RefineDet)(
        backbone=L(peers.ExtraLevels)(
            bottom_up=L(peers.VGG16)(
                out_features=["conv4_3", "conv5_3", "conv7"],
                l2_scales={"conv4_3": 10.0, "conv5_3": 8.0},
                pool5_stride=2,
            ),
            hidden_channels=[256],
            out_channels=[512],
            strides=[2],
            paddings=[1],
        ),
        head=L(peers.RefineDetHead)(
            in_channels=[512, 512, 1024, 512],
            num_anchors=[3, 3, 3, 3],
            num_classes="${..num_classes}",
        ),
        default_boxes=L(DefaultAnchorGenerator)(
            sizes=[[4 * stride] for stride in strides],
            aspect_ratios=[0.5, 1.0, 2.0],
            strides=strides,
            offset=0.5,
        ),
        num_classes=20,
        **IMAGENET,
    )
