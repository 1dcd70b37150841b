"""CoupleNet on ResNet-101: `rfcn_r101` with a global branch beside the votes.

NOT IN PAPER: everything but the name. As in CoupleNet [27]: 512 channels for the global branch, a
box and twice its sides around it, and a sum of both branches' scores behind 1x1 convolutions;
RoIAlign in the place of its RoI pooling, and without its hard example mining.
"""

from acnet import peers

from .rfcn_r101 import model

model.roi_heads.box_predictor._target_ = peers.CoupledOutputLayers
