"""`couplenet_r101` on the ResNet-18 of `acnet_r18`, from random weights. NOT IN PAPER."""

from acnet import peers

from .rfcn_r18 import model

model.roi_heads.box_predictor._target_ = peers.CoupledOutputLayers
model.roi_heads.box_predictor.update(global_channels=64, hidden_channels=128)
