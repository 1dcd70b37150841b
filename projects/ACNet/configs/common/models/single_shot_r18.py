"""The one-stage detectors of Table IV on the ResNet-18 of `acnet_r18`, from random weights.

NOT IN PAPER: everything here. Four levels of strides 4 to 32 and default boxes of the sizes that
`acnet_r18` has, so that lesions of 6 pixels have a level too; BN in all that is new.
"""

from detectron2.config import LazyCall as L
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator

from acnet import peers

from .acnet_r18 import model as acnet, small
from .backbone import resnet

SIZES_PX, STRIDES = [8, 16, 32, 64], [4, 8, 16, 32]
CHANNELS = [84, 168, 336, 256]  # the ResNet is wider than `acnet_r18`s, for as many weights


def levels(out_features=("res2", "res3", "res4"), **kwargs):
    """Levels of the ResNet, and one behind them."""
    bottom_up = resnet(**small["resnet_config"])
    bottom_up.stem.out_channels = bottom_up.stages.stem_channels = CHANNELS[0]
    bottom_up.out_features = list(out_features)
    kwargs = dict(hidden_channels=[128], out_channels=[256], strides=[2], paddings=[1]) | kwargs
    return L(peers.ExtraLevels)(bottom_up=bottom_up, norm="BN", **kwargs)


def single_shot(cls=peers.SSD, backbone=None, head=peers.SSDHead, in_channels=CHANNELS, **kwargs):
    """A detector of one class; `kwargs` are its head's."""
    return L(cls)(
        backbone=backbone or levels(),
        head=L(head)(
            in_channels=list(in_channels),
            num_anchors=[4, 4, 4, 4],
            num_classes="${..num_classes}",
            **kwargs,
        ),
        default_boxes=L(peers.DefaultBoxes)(
            sizes=[[size, 2 * size] for size in SIZES_PX], aspect_ratios=[[2]] * 4, strides=STRIDES
        ),
        num_classes=1,
        pixel_mean=acnet.pixel_mean,
        pixel_std=acnet.pixel_std,
        input_format=acnet.input_format,
    )


def ssd():
    """SSD."""
    return single_shot()


def rfbnet():
    """RFBNet: RFB-s on res2, RFB on res3 and res4, and one of stride 2 behind them."""
    backbone = levels().bottom_up
    blocks = L(peers.ReceptiveFieldLevels)(bottom_up=backbone, out_channels=[256])
    return single_shot(backbone=blocks)


def dssd():
    """DSSD, its levels joined at 96 channels."""
    backbone = L(peers.DeconvolutionLevels)(bottom_up=levels(), channels=96)
    return single_shot(
        backbone=backbone, head=peers.DSSDHead, in_channels=[96, 96, 96, 256], channels=192
    )


def des():
    """DES, whose segmentation is of res2."""
    return single_shot(peers.DES, head=peers.DESHead, norm="BN")


def refinedet():
    """RefineDet, with anchors of the sizes of the others and its own ratios."""
    model = single_shot(peers.RefineDet, head=peers.RefineDetHead, channels=96, norm="BN")
    model.head.num_anchors = [3, 3, 3, 3]
    model.default_boxes = L(DefaultAnchorGenerator)(
        sizes=[[size] for size in SIZES_PX],
        aspect_ratios=[0.5, 1.0, 2.0],
        strides=STRIDES,
        offset=0.5,
    )
    return model
