"""Feature refinement module (FRM): the second half of Composite Feature Refinement."""

import torch
import torch.nn.functional as F
from detectron2.layers import Conv2d, get_norm
from fvcore.nn import weight_init
from torch import Tensor, nn

from .poolers import autocast_off


class FeatureRefinement(nn.Module):
    """Fuse a deep and a shallow level of the assistant; let them modulate the lead's shallow one.

    Reference: paper, III-A.2, Eq. (1) and (2), Fig. 2.
    """

    def __init__(
        self, *, high_channels: int, low_channels: int, norm: str = "BN", zero_init: bool = True
    ):
        """
        Args:
            high_channels: channels of the assistant's level k.
            low_channels: channels of level k-1, in assistant and lead alike.
            norm: detectron2's name of the normalisation. A real one is needed: a product of two
                maps that nothing normalises has no control of its scale.
            zero_init: start the last convolution at zero, so that the lead starts untouched.
        """
        super().__init__()
        self.phi = Conv2d(high_channels, low_channels, kernel_size=1)
        self.fused_norm = get_norm(norm, low_channels) or nn.Identity()
        self.lead_norm = get_norm(norm, low_channels) or nn.Identity()
        self.output = Conv2d(low_channels, low_channels, kernel_size=3, padding=1)
        weight_init.c2_xavier_fill(self.phi)
        weight_init.c2_msra_fill(self.output)
        if zero_init:
            # NOT IN PAPER: a pretrained lead computes at step 0 what it was trained to compute.
            nn.init.zeros_(self.output.weight)

    def before_interpolation(self) -> list[nn.Module]:
        """The layers whose maps are resized, where a picture ends before its map does."""
        return [self.phi]

    def forward(self, assistant_high: Tensor, assistant_low: Tensor, lead_low: Tensor) -> Tensor:
        """Return g_k (B, low_channels, H, W), of the shape of A_{k-1} and L_{k-1}.

        A_k is (B, high_channels, h, w).
        """
        # The 1x1 convolution and the interpolation commute; convolving first is the cheaper order.
        high = interpolate(self.phi(assistant_high), assistant_low.shape[-2:])
        fused = F.relu(self.fused_norm(assistant_low + high))  # Eq. (1)
        return self.output(F.relu(self.lead_norm(lead_low) * fused))  # Eq. (2)


def interpolate(maps: Tensor, size_hw: torch.Size, *, mode: str = "bilinear") -> Tensor:
    """Resize maps, on a GPU that predicts in their own precision.

    Autocast makes them float32, and with them all that they are added to or multiplied by: twice
    the memory to write and read, which is what bounds a GPU there.
    """
    align = None if mode == "nearest" else False
    if torch.is_grad_enabled() or not maps.is_cuda:
        return F.interpolate(maps, size=size_hw, mode=mode, align_corners=align)
    with autocast_off(maps):
        return F.interpolate(maps, size=size_hw, mode=mode, align_corners=align)
