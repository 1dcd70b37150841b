"""Context attention block of MAMA: the global context (GC) block."""

import torch
from detectron2.layers import Conv2d
from fvcore.nn import weight_init
from torch import Tensor, nn


class ContextAttention(nn.Module):
    """Add to every position what matters in the whole image.

    Reference: paper, III-C.2; GCNet [20], Fig. 4(d) with fusion by addition.
    """

    def __init__(self, *, channels: int, reduction: int = 16):
        """
        Args:
            channels: C, of input and output.
            reduction: by which the transform's hidden layer is narrower.
        """
        super().__init__()
        hidden_channels = max(1, channels // reduction)
        # A softmax takes no notice of a bias, which would never learn anything.
        self.key = Conv2d(channels, 1, kernel_size=1, bias=False)
        self.transform = nn.Sequential(
            Conv2d(channels, hidden_channels, kernel_size=1),
            nn.LayerNorm([hidden_channels, 1, 1]),
            nn.ReLU(),
            Conv2d(hidden_channels, channels, kernel_size=1),
        )
        weight_init.c2_msra_fill(self.key)
        weight_init.c2_msra_fill(self.transform[0])
        # GCNet starts the block as the identity.
        nn.init.zeros_(self.transform[-1].weight)
        nn.init.zeros_(self.transform[-1].bias)

    def forward(self, features: Tensor, own: Tensor | None = None) -> Tensor:
        """
        Args:
            features: (B, C, H, W).
            own: (B, 1, H, W) bool, the cells to attend to; None for all.

        Returns:
            (B, C, H, W).
        """
        keys = self.key(features)
        if own is not None:
            keys = keys.masked_fill(~own, -torch.inf)
        weights = keys.flatten(2).softmax(dim=-1)  # (B, 1, HW)
        context = features.flatten(2) @ weights.transpose(1, 2).to(features.dtype)  # (B, C, 1)
        return features + self.transform(context[..., None])
