"""Soft-NMS (Bodla et al., 2017), with which the paper replaces NMS (IV-A.1).

Shape shorthand:
    N: number of candidate boxes
    K: number of picks, at most N
"""

import torch
from torch import Tensor

__all__ = ["soft_nms"]

_METHODS = ("linear", "gaussian")
_PICKED = -1.0  # below every score, so that a picked box is never picked again


@torch.no_grad()
def soft_nms(
    boxes_xyxy: Tensor,
    scores: Tensor,
    classes: Tensor,
    *,
    method: str = "linear",
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    score_floor: float = 1e-3,
    max_detections: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Decay the scores of boxes that overlap a better box of their class, instead of dropping them.

    Boxes are picked in the order of their decayed scores. A pick only lowers other scores, so the
    scores of successive picks never increase, and one loop over all classes that stops after
    `max_detections` picks gives exactly the best `max_detections` of the whole run.

    Args:
        boxes_xyxy: (N, 4), corners in pixels.
        scores: (N,), in [0, 1].
        classes: (N,) integers; boxes of different classes leave each other alone.
        method: "linear" multiplies by `1 - iou` where `iou > iou_threshold`;
            "gaussian" multiplies by `exp(-iou^2 / sigma)` everywhere.
        iou_threshold: overlap above which the linear decay acts, in [0, 1].
        sigma: width of the Gaussian decay, above 0.
        score_floor: picks end when the best decayed score is below it.
        max_detections: most picks wanted; None for all.

    Returns:
        Indices into the input (K,) and their decayed scores (K,) in float32, in the order of
        picking. Equal scores are picked in the order of the input.

    Raises:
        ValueError: for an unknown method, a sigma not above 0, or inputs whose lengths differ.

    Reference: paper, IV-A.1 and [24]; the candidate loop of Fig. 2 in Soft-NMS.
    """
    _check_arguments(boxes_xyxy, scores, classes, method, sigma)
    boxes = boxes_xyxy.float()
    remaining = scores.float().clone()
    areas = _areas(boxes)
    limit = len(scores) if max_detections is None else min(max_detections, len(scores))
    # Only a CPU can look at a score without stalling a stream: there, stop at the floor at once.
    may_look = remaining.device.type == "cpu"
    picks, picked_scores = [], []
    for _ in range(limit):
        best = remaining.argmax(keepdim=True)  # (1,); the first of equal scores
        best_score = remaining[best]
        if may_look and best_score.item() < score_floor:
            break
        picks.append(best)
        picked_scores.append(best_score)
        iou = _iou_with(best, boxes, areas)
        decay = _decay(iou, method, iou_threshold, sigma)
        rivals = (classes == classes[best]) & (remaining > 0)
        remaining = torch.where(rivals, remaining * decay, remaining)
        remaining[best] = _PICKED
    if not picks:
        return scores.new_empty(0, dtype=torch.long), scores.new_empty(0, dtype=torch.float32)
    keep, decayed = torch.cat(picks), torch.cat(picked_scores)
    above = decayed >= score_floor  # a prefix, since picks never increase
    return keep[above], decayed[above]


def _decay(iou: Tensor, method: str, iou_threshold: float, sigma: float) -> Tensor:
    """(N,) factors in [0, 1] for the scores of boxes with the given overlap."""
    if method == "gaussian":
        return torch.exp(-iou.square() / sigma)
    return torch.where(iou > iou_threshold, 1 - iou, torch.ones_like(iou))


def _iou_with(best: Tensor, boxes: Tensor, areas: Tensor) -> Tensor:
    """(N,) intersection over union of one box, given by its index (1,), with every box."""
    one = boxes[best]  # (1, 4)
    low = torch.maximum(one[:, :2], boxes[:, :2])
    high = torch.minimum(one[:, 2:], boxes[:, 2:])
    intersection = (high - low).clamp(min=0).prod(dim=1)
    union = areas[best] + areas - intersection
    # Two boxes without area share nothing.
    return torch.where(union > 0, intersection / union, torch.zeros_like(union))


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)


def _check_arguments(
    boxes_xyxy: Tensor, scores: Tensor, classes: Tensor, method: str, sigma: float
) -> None:
    if method not in _METHODS:
        raise ValueError(
            f"Soft-NMS knows two decays. Received method={method!r}; choose one of {_METHODS}."
        )
    if sigma <= 0:
        raise ValueError(f"sigma divides a square, so it must be above 0. Received {sigma}.")
    if boxes_xyxy.dim() != 2 or boxes_xyxy.shape[1] != 4:
        raise ValueError(f"Boxes must have shape (N, 4). Received {tuple(boxes_xyxy.shape)}.")
    if not len(boxes_xyxy) == len(scores) == len(classes):
        raise ValueError(
            "Each box has one score and one class. Received "
            f"{len(boxes_xyxy)} boxes, {len(scores)} scores and {len(classes)} classes."
        )
