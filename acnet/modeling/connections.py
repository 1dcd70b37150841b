"""The plain composite connection of CBNet, which the feature refinement module replaces."""

import torch.nn.functional as F
from detectron2.layers import Conv2d, get_norm
from fvcore.nn import weight_init
from torch import Tensor, nn

__all__ = ["CompositeConnection"]


class CompositeConnection(nn.Module):
    """Carry a deep level of the assistant backbone to the level before it in the lead.

    Reference: paper, III-A.1; CBNet [16], adjacent higher-level composition.
    """

    def __init__(
        self, *, high_channels: int, low_channels: int, norm: str = "BN", zero_init: bool = True
    ):
        """
        Args:
            high_channels: channels of the assistant's level k.
            low_channels: channels of level k-1.
            norm: detectron2's name of the normalisation.
            zero_init: start the normalisation's gain at zero, so that the lead starts untouched.
        """
        super().__init__()
        self.project = Conv2d(
            high_channels, low_channels, 1, bias=False, norm=get_norm(norm, low_channels)
        )
        weight_init.c2_msra_fill(self.project)
        if zero_init:
            # NOT IN PAPER: a pretrained lead computes at step 0 what it was trained to compute.
            nn.init.zeros_(self.project.norm.weight)

    def forward(self, assistant_high: Tensor, assistant_low: Tensor, lead_low: Tensor) -> Tensor:
        """
        Args:
            assistant_high: (B, high_channels, h, w), level k of the assistant.
            assistant_low: not read; the signature is that of `FeatureRefinement`.
            lead_low: (B, low_channels, H, W), level k-1 of the lead; only its size is read.

        Returns:
            (B, low_channels, H, W), the term to add to `lead_low`.
        """
        # Convolving before upsampling gives the same map for a quarter of the work.
        return F.interpolate(self.project(assistant_high), size=lead_low.shape[-2:], mode="nearest")
