"""SSD300 and SSD512 on VGG-16, with the default boxes of their authors for PASCAL VOC.

NOT IN PAPER: everything but names and input sizes. As in SSD [12]; the weights before training are
torchvision's VGG-16 of ImageNet, so pixels are RGB with its means and deviations.
"""

from itertools import pairwise

from detectron2.config import LazyCall as L

from acnet import peers

IMAGENET = dict(
    pixel_mean=[123.675, 116.280, 103.530], pixel_std=[58.395, 57.120, 57.375], input_format="RGB"
)
# For each level its stride, its size in percent of the picture's side, and its ratios.
SSD_LEVELS = {
    300: dict(
        strides=[8, 16, 32, 64, 100, 300],
        percent=[7, 15, 33, 51, 69, 87, 105],
        aspect_ratios=[[2], [2, 3], [2, 3], [2, 3], [2], [2]],
    ),
    512: dict(
        strides=[8, 16, 32, 64, 128, 256, 512],
        percent=[4, 10, 26, 42, 58, 74, 90, 106],
        aspect_ratios=[[2], [2, 3], [2, 3], [2, 3], [2, 3], [2], [2]],
    ),
}


def default_boxes(*, size_px, strides, percent, aspect_ratios):
    """SSD's default boxes for a square picture."""
    sizes = [share * size_px / 100 for share in percent]
    return L(peers.DefaultBoxes)(
        sizes=[list(pair) for pair in pairwise(sizes)],
        aspect_ratios=aspect_ratios,
        strides=strides,
        max_px=size_px,
    )


def head(cls, in_channels, aspect_ratios, **kwargs):
    """A head with a default box for each of SSD's shapes."""
    return L(cls)(
        in_channels=in_channels,
        num_anchors=[2 + 2 * len(ratios) for ratios in aspect_ratios],
        num_classes="${..num_classes}",
        **kwargs,
    )


def extra_levels(bottom_up, size_px):
    """conv8_2 to conv11_2, and for 512 pixels conv12_2."""
    count = {300: 4, 512: 5}[size_px]
    return L(peers.ExtraLevels)(
        bottom_up=bottom_up,
        hidden_channels=[256, 128, 128, 128, 128][:count],
        out_channels=[512, 256, 256, 256, 256][:count],
        strides={300: [2, 2, 1, 1], 512: [2, 2, 2, 2, 1]}[size_px],
        paddings={300: [1, 1, 0, 0], 512: [1, 1, 1, 1, 1]}[size_px],
        kernel_sizes={300: [3, 3, 3, 3], 512: [3, 3, 3, 3, 4]}[size_px],
    )


def ssd(size_px):
    """SSD for pictures of size_px x size_px."""
    levels = SSD_LEVELS[size_px]
    channels = [512, 1024, 512, *[256] * (len(levels["strides"]) - 3)]
    return L(peers.SSD)(
        backbone=extra_levels(
            L(peers.VGG16)(out_features=["conv4_3", "conv7"], l2_scales={"conv4_3": 20.0}), size_px
        ),
        head=head(peers.SSDHead, channels, levels["aspect_ratios"]),
        default_boxes=default_boxes(size_px=size_px, **levels),
        num_classes=20,
        **IMAGENET,
    )
