"""Boxes in tensors of fixed sizes, computed as detectron2 computes them.

detectron2's own code is compiled for TorchScript or sits in classes that an export cannot look
into, and it drops boxes, which changes sizes. Here nothing is dropped: what does not count is told
by a mask.

Shape shorthand:
    B: images of a batch
    N: boxes of an image
    C: classes, or 1
"""

import torch
from torch import Tensor

__all__ = ["centred_in", "clip", "decode"]


def decode(
    deltas: Tensor, boxes_xyxy: Tensor, weights: tuple[float, ...], scale_clamp: float
) -> Tensor:
    """Move and scale boxes, as detectron2's `Box2BoxTransform.apply_deltas`.

    Args:
        deltas: (B, N, 4 * C), predicted.
        boxes_xyxy: (B, N, 4).
        weights: of dx, dy, dw, dh.
        scale_clamp: most that dw and dh may be, after their weights.

    Returns:
        (B, N, C, 4) XYXY in float32.
    """
    deltas = deltas.float().unflatten(2, (-1, 4))  # (B, N, C, 4)
    boxes = boxes_xyxy.float()[:, :, None]
    sizes = boxes[..., 2:] - boxes[..., :2]
    centres = boxes[..., :2] + 0.5 * sizes
    shifts = torch.stack([deltas[..., 0] / weights[0], deltas[..., 1] / weights[1]], dim=-1)
    scales = torch.stack([deltas[..., 2] / weights[2], deltas[..., 3] / weights[3]], dim=-1)
    centres = shifts * sizes + centres
    half = 0.5 * (torch.exp(scales.clamp(max=scale_clamp)) * sizes)
    return torch.cat([centres - half, centres + half], dim=-1)


def clip(boxes_xyxy: Tensor, sizes_hw: Tensor) -> Tensor:
    """Cut boxes at the borders of their image.

    Args:
        boxes_xyxy: (B, ..., 4).
        sizes_hw: (B, 2) float32.

    Returns:
        As `boxes_xyxy`.
    """
    limits = sizes_hw.flip(1).repeat(1, 2)  # (B, 4): width, height, width, height
    limits = limits.view(-1, *[1] * (boxes_xyxy.dim() - 2), 4)
    return torch.minimum(boxes_xyxy.clamp(min=0), limits)


def centred_in(boxes_xyxy: Tensor, parts_xyxy: Tensor) -> Tensor:
    """Tell which boxes have their centre in the part that their tile answers for.

    Args:
        boxes_xyxy: (B, N, 4).
        parts_xyxy: (B, 4), borders included.

    Returns:
        (B, N) bool.
    """
    centres = (boxes_xyxy[..., :2] + boxes_xyxy[..., 2:]) / 2
    parts = parts_xyxy[:, None]
    return ((centres >= parts[..., :2]) & (centres <= parts[..., 2:])).all(dim=2)
