"""The blocks of MAMA: streamlined inception network, mask attention, context attention.

The inception network is block B of Inception-v4 on the merged map. The mask attention block says
where lesions are likely, and has a loss of its own; the context attention block is a global context
(GC) block.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from detectron2.layers import Conv2d, get_norm
from fvcore.nn import weight_init
from torch import Tensor, nn

from acnet.layers import boxes_to_mask
from acnet.layers.box_targets import padded

from .own_cells import own_cells


class StreamlinedInception(nn.Module):
    """Look at the map through kernels of different shapes, without changing its size.

    Reference: paper, III-C; Inception-v4 [18], Fig. 5.
    """

    def __init__(self, *, in_channels: int, width: float = 1.0, norm: str = "BN"):
        """
        Args:
            in_channels: channels of the input.
            width: factor on every channel count, above 0; 1 gives Inception-v4's 1024 channels.
            norm: detectron2's name of the normalisation after each convolution; "" for none.

        Raises:
            ValueError: for a width that is not above 0.
        """
        super().__init__()
        if not width > 0:
            raise ValueError(f"width is a factor on channels, above 0. Received {width}.")
        # NOT IN PAPER: which inception block is meant. Block B, as in SCRDet, whose feature path
        # the paper follows.
        self.branch_1x1 = _branch(in_channels, [(384, 1, 1)], width, norm)
        self.branch_7x7 = _branch(in_channels, [(192, 1, 1), (224, 1, 7), (256, 7, 1)], width, norm)
        self.branch_double_7x7 = _branch(
            in_channels,
            [(192, 1, 1), (192, 7, 1), (224, 1, 7), (224, 7, 1), (256, 1, 7)],
            width,
            norm,
        )
        self.branch_pool = nn.Sequential(
            nn.AvgPool2d(kernel_size=3, stride=1, padding=1, count_include_pad=False),
            _branch(in_channels, [(128, 1, 1)], width, norm),
        )
        self.out_channels = inception_channels(width)

    def forward(self, features: Tensor) -> Tensor:
        """
        Args:
            features: (B, in_channels, H, W).

        Returns:
            (B, out_channels, H, W); `out_channels` is 1024 at width 1.
        """
        branches = (self.branch_1x1, self.branch_7x7, self.branch_double_7x7, self.branch_pool)
        return torch.cat([branch(features) for branch in branches], dim=1)


def _branch(
    in_channels: int, layers: list[tuple[int, int, int]], width: float, norm: str
) -> nn.Sequential:
    """Convolutions given as (channels, kernel height, kernel width), each with norm and ReLU."""
    convs = []
    for channels, height, across in layers:
        out_channels = _scaled(channels, width)
        layer = get_norm(norm, out_channels)
        conv = Conv2d(
            in_channels,
            out_channels,
            kernel_size=(height, across),
            padding=(height // 2, across // 2),
            bias=layer is None,
            norm=layer,
            activation=nn.ReLU(),
        )
        # NOT IN PAPER: MSRA's scale. N(0, 0.01) starves the long branches.
        weight_init.c2_msra_fill(conv)
        convs.append(conv)
        in_channels = out_channels
    return nn.Sequential(*convs)


def inception_channels(width: float) -> int:
    """Return how many channels `StreamlinedInception` gives."""
    return sum(_scaled(channels, width) for channels in (384, 256, 256, 128))


def _scaled(channels: int, width: float) -> int:
    """Channels times width, to the nearest multiple of 8 and at least 8."""
    return max(8, round(channels * width / 8) * 8)


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


def mask_attention_loss(
    mask_logits: Tensor,
    gt_boxes_xyxy: Sequence[Tensor],
    image_sizes_hw: Sequence[tuple[int, int]],
    stride: int,
) -> Tensor:
    """Binary cross-entropy between the saliency map and the map of ground-truth boxes.

    Args:
        mask_logits: (B, 1, H, W), over the padded batch.
        gt_boxes_xyxy: for each image (N, 4), in pixels of the input; N may be 0, which makes the
            whole image background.
        image_sizes_hw: height and width of each image before padding, in pixels.
        stride: pixels per cell.

    Returns:
        A scalar in float32: the mean over each image's unpadded cells, then over images.

    Reference: paper, III-D, Eq. (6).
    """
    logits = mask_logits.float()[:, 0]  # bfloat16 would round the loss of easy cells to zero
    boxes, is_real = padded(gt_boxes_xyxy)
    boxes = torch.where(is_real[..., None], boxes, -2 * stride)  # what fills up lies outside
    target = boxes_to_mask(boxes, logits.shape[1:], stride)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    # NOT IN PAPER: padding is no skin, so it does not count.
    own = own_cells(mask_logits, image_sizes_hw, stride)
    if own is None:
        return loss.mean()  # Eq. (6)
    share = (own / own.sum(dim=(2, 3), keepdim=True))[:, 0]
    return (loss * share).sum() / len(loss)  # Eq. (6)


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
