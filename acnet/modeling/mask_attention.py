"""Mask attention block of MAMA: where lesions are likely, learnt from their boxes."""

from detectron2.layers import Conv2d
from fvcore.nn import weight_init
from torch import Tensor, nn


class MaskAttention(nn.Module):
    """Predict a saliency map of one channel by consecutive convolutions.

    It returns logits: the sigmoid belongs to whoever gates with the map, the loss wants none.

    Reference: paper, III-C.1, Fig. 4.
    """

    def __init__(self, *, in_channels: int, hidden_channels: int = 256, zero_init: bool = False):
        """
        Args:
            in_channels: channels of the inception network's output.
            hidden_channels: channels between the two convolutions.
            zero_init: start with a logit of 0 everywhere, not only about 0.
        """
        super().__init__()
        # NOT IN PAPER: number and width of the convolutions; as in SCRDet.
        self.hidden = Conv2d(
            in_channels, hidden_channels, kernel_size=3, padding=1, activation=nn.ReLU()
        )
        self.logits = Conv2d(hidden_channels, 1, kernel_size=3, padding=1)
        weight_init.c2_msra_fill(self.hidden)
        nn.init.normal_(self.logits.weight, std=0.0 if zero_init else 0.01)
        nn.init.zeros_(self.logits.bias)

    def forward(self, features: Tensor) -> Tensor:
        """
        Args:
            features: (B, in_channels, H, W).

        Returns:
            (B, 1, H, W) logits of a cell being covered by a lesion.
        """
        return self.logits(self.hidden(features))
