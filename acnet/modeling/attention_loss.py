"""Attention loss: the third term of Eq. (6)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from acnet.layers import boxes_to_mask


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
    logits = mask_logits.float()  # bfloat16 would round the loss of easy cells to zero
    losses = []
    for logits_one, boxes, (height, width) in zip(
        logits[:, 0], gt_boxes_xyxy, image_sizes_hw, strict=True
    ):
        # NOT IN PAPER: padding is no skin, so it does not count.
        rows, columns = -(-height // stride), -(-width // stride)
        target = boxes_to_mask(boxes, (rows, columns), stride)
        losses.append(F.binary_cross_entropy_with_logits(logits_one[:rows, :columns], target))
    return torch.stack(losses).mean()  # Eq. (6)
