"""Offsets between boxes (Faster R-CNN's parametrisation), and the loss of predicted ones.

They are detectron2's `Box2BoxTransform`, in half as many operators and without its look at values.

Shape shorthand:
    *: any leading dimensions
    C: offsets of a box, one for each class
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import (
    complete_box_iou_loss,
    distance_box_iou_loss,
    generalized_box_iou_loss,
)

from .box_matching import sent_along

__all__ = ["box_loss", "decode", "encode"]

_IOU_LOSSES = {
    "giou": generalized_box_iou_loss,
    "diou": distance_box_iou_loss,
    "ciou": complete_box_iou_loss,
}


def decode(deltas: Tensor, boxes_xyxy: Tensor, transform: Any) -> Tensor:
    """Move and scale boxes, as `transform.apply_deltas`.

    Args:
        deltas: (*, 4 * C), predicted.
        boxes_xyxy: (*, 4).
        transform: detectron2's `Box2BoxTransform`.

    Returns:
        (*, C, 4) XYXY in float32.
    """
    wx, wy, ww, wh = transform.weights
    shifts, scales = deltas.float().unflatten(-1, (-1, 4)).split(2, dim=-1)  # (*, C, 2)
    centres, sizes = _centres_and_sizes(boxes_xyxy.float()[..., None, :])
    shifts, scales = _by(torch.div, shifts, wx, wy), _by(torch.div, scales, ww, wh)
    centres = shifts * sizes + centres
    half = 0.5 * (torch.exp(scales.clamp(max=transform.scale_clamp)) * sizes)
    return torch.cat([centres - half, centres + half], dim=-1)


def encode(boxes_xyxy: Tensor, targets_xyxy: Tensor, transform: Any) -> Tensor:
    """Return the offsets (*, 4) from boxes to targets (*, 4), as `transform.get_deltas`."""
    wx, wy, ww, wh = transform.weights
    centres, sizes = _centres_and_sizes(boxes_xyxy)
    target_centres, target_sizes = _centres_and_sizes(targets_xyxy)
    shifts = _by(torch.mul, target_centres - centres, wx, wy) / sizes
    scales = _by(torch.mul, (target_sizes / sizes).log(), ww, wh)
    return torch.cat([shifts, scales], dim=-1)


def box_loss(
    deltas: Tensor,
    boxes_xyxy: Tensor,
    targets_xyxy: Tensor,
    counts: Tensor,
    *,
    transform: Any,
    kind: str = "smooth_l1",
    beta: float = 0.0,
) -> Tensor:
    """Add up the losses of predicted offsets, as detectron2's `_dense_box_regression_loss`.

    Args:
        deltas: (*, 4), predicted.
        boxes_xyxy: (*, 4), which they move and scale.
        targets_xyxy: (*, 4), where the boxes should come to.
        counts: (*) bool; the other rows add nothing, whatever their boxes and targets.
        transform: detectron2's `Box2BoxTransform`.
        kind: "smooth_l1" of the offsets; "giou", "diou" or "ciou" of the boxes.
        beta: of smooth L1.

    Raises:
        ValueError: for an unknown kind.
    """
    if kind != "smooth_l1" and kind not in _IOU_LOSSES:
        raise ValueError(
            f"box_reg_loss_type is one of {('smooth_l1', *_IOU_LOSSES)}. Received {kind!r}."
        )
    counts = counts[..., None]
    # Where nothing counts, numbers must still be finite: 0 times a gradient of NaN is NaN.
    unit = sent_along([0.0, 0.0, 1.0, 1.0], boxes_xyxy)
    boxes = torch.where(counts, boxes_xyxy, unit)
    targets = torch.where(counts, targets_xyxy, unit)
    if kind == "smooth_l1":
        wanted = encode(boxes, targets, transform)
        losses = F.smooth_l1_loss(deltas, wanted, beta=beta, reduction="none")
    else:
        losses = _IOU_LOSSES[kind](decode(deltas, boxes, transform)[..., 0, :], targets)
        losses = losses[..., None]
    return torch.where(counts, losses, 0.0).sum()


def _centres_and_sizes(boxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    start, end = boxes_xyxy.split(2, dim=-1)
    sizes = end - start
    return start + 0.5 * sizes, sizes


def _by(operation: Callable, pairs: Tensor, first: float, second: float) -> Tensor:
    """Multiply or divide pairs (*, 2) by two numbers, which are equal nearly always."""
    if first == second:
        return pairs if first == 1 else operation(pairs, first)
    return torch.stack([operation(pairs[..., 0], first), operation(pairs[..., 1], second)], dim=-1)
