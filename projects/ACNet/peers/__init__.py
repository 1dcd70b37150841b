"""The detectors that Table IV compares ACNet with, as detectron2 meta-architectures.

In a clone this folder is `projects/ACNet/peers`, in a wheel `acnet/peers`; the name to import it by
is `acnet.peers` in both. What a constructor takes is plain Python: their configs are LazyConfigs,
and yaml configs do not know them.
"""

from .couplenet import CoupledOutputLayers
from .des import DES, DESHead, box_segmentation
from .dssd import DeconvolutionLevels, DSSDHead
from .refinedet import RefineDet, RefineDetHead
from .rfbnet import ReceptiveFieldLevels
from .single_shot import SSD, DefaultBoxes, SSDHead, match_boxes, multi_box_loss
from .torchvision_ssd import weights_from_torchvision
from .vgg import VGG16, ExtraLevels

__all__ = [
    "DES",
    "SSD",
    "VGG16",
    "CoupledOutputLayers",
    "DESHead",
    "DSSDHead",
    "DeconvolutionLevels",
    "DefaultBoxes",
    "ExtraLevels",
    "ReceptiveFieldLevels",
    "RefineDet",
    "RefineDetHead",
    "SSDHead",
    "box_segmentation",
    "match_boxes",
    "multi_box_loss",
    "weights_from_torchvision",
]
