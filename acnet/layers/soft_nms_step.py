"""One pick of Soft-NMS in torch operators; whoever calls it decides how often, and in which loop.

Shape shorthand:
    *: any leading dimensions, such as the images of a batch
    N: number of candidate boxes
"""

import torch
from torch import Tensor

__all__ = ["NO_SCORE", "areas", "iou_with", "pick_best"]

NO_SCORE = -1.0  # of padding and of a picked box, below all others


def pick_best(
    remaining: Tensor,
    boxes_xyxy: Tensor,
    box_areas: Tensor,
    classes: Tensor,
    *,
    method: str,
    iou_threshold: float,
    sigma: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Pick the box with the best score, and decay the scores of its rivals.

    Args:
        remaining: (*, N) scores; `NO_SCORE` for what cannot be picked.
        boxes_xyxy: (*, N, 4).
        box_areas: (*, N), of `areas`.
        classes: (*, N) integers.
        method, iou_threshold, sigma: as for `acnet.layers.soft_nms`.

    Returns:
        The index (*, 1) of the pick, the first of equal scores; its score (*, 1); and the scores
        that remain (*, N).

    Reference: the candidate loop of Fig. 2 in Soft-NMS.
    """
    best = remaining.argmax(dim=-1, keepdim=True)
    score = remaining.gather(-1, best)
    one = boxes_xyxy.gather(-2, best.unsqueeze(-1).expand(*best.shape, 4))  # (*, 1, 4)
    factors = _decay(iou_with(one, boxes_xyxy, box_areas), method, iou_threshold, sigma)
    rivals = (classes == classes.gather(-1, best)) & (remaining > 0)
    remaining = torch.where(rivals, remaining * factors, remaining)
    return best, score, remaining.scatter(-1, best, NO_SCORE)


def areas(boxes_xyxy: Tensor) -> Tensor:
    """Areas of boxes (*, 4), at least 0."""
    sides = (boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def iou_with(one_xyxy: Tensor, boxes_xyxy: Tensor, box_areas: Tensor) -> Tensor:
    """Intersection over union of one box with all boxes.

    Args:
        one_xyxy: (*, 1, 4).
        boxes_xyxy: (*, N, 4).
        box_areas: (*, N).

    Returns:
        (*, N); two boxes without area share nothing.
    """
    low = torch.maximum(one_xyxy[..., :2], boxes_xyxy[..., :2])
    high = torch.minimum(one_xyxy[..., 2:], boxes_xyxy[..., 2:])
    intersection = areas(torch.cat([low, high], dim=-1))
    union = areas(one_xyxy) + box_areas - intersection
    return torch.where(union > 0, intersection / union, 0.0)


def _decay(iou: Tensor, method: str, iou_threshold: float, sigma: float) -> Tensor:
    """(*, N) factors in [0, 1] for the scores of boxes with the given overlap."""
    if method == "gaussian":
        return torch.where(iou > 0, torch.exp(-iou.square() / sigma), 1.0)
    return torch.where(iou > iou_threshold, 1 - iou, 1.0)
