"""Soft-NMS with shapes that are known beforehand, for other devices than the CPU and for export.

Shape shorthand:
    *: any leading dimensions, such as the images of a batch
    N: number of candidate boxes
    M: number of detections wanted
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .soft_nms_step import NO_SCORE, areas, pick_best

__all__ = ["check_soft_nms", "soft_nms_padded"]

_METHODS = ("linear", "gaussian")


@torch.no_grad()
def soft_nms_padded(
    boxes_xyxy: Tensor,
    scores: Tensor,
    classes: Tensor,
    *,
    method: str = "linear",
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    score_floor: float = 1e-3,
    max_detections: int,
) -> tuple[Tensor, Tensor]:
    """Decay scores as `soft_nms` does, in a fixed number of steps and with a fixed size of output.

    Nothing here depends on values, so that no device waits for its host and that the computation
    can be exported; one call takes all images of a batch. What it computes is what `soft_nms`
    computes: the same picks, in the same order.

    Args:
        boxes_xyxy: (*, N, 4), corners in pixels.
        scores: (*, N), in [0, 1]; -1 for padding.
        classes: (*, N) integers.
        method, iou_threshold, sigma, score_floor: as for `soft_nms`.
        max_detections: M.

    Returns:
        Indices into the input (*, M) and their decayed scores (*, M) in float32, in the order of
        picking. Where there are fewer picks, the rest has index 0 and score -1.

    Raises:
        ValueError: as `soft_nms`.
    """
    check_soft_nms(boxes_xyxy, scores, classes, method, sigma, score_floor, max_detections)
    # float64, as in the compiled loop: scores that differ stay different. Apple's chips lack it.
    precision = torch.float32 if scores.device.type == "mps" else torch.float64
    finite = boxes_xyxy.isfinite().all(dim=-1, keepdim=True)
    boxes = torch.where(finite, boxes_xyxy, 0).float().to(precision)
    remaining = scores.float().to(precision).nan_to_num(nan=NO_SCORE, neginf=NO_SCORE)
    box_areas = areas(boxes)
    decay = {"method": method, "iou_threshold": iou_threshold, "sigma": sigma}

    def pick(remaining: Tensor, _: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        best, score, remaining = pick_best(remaining, boxes, box_areas, classes, **decay)
        return remaining, (best, score)

    steps = min(max_detections, scores.shape[-1])
    if steps == 0:
        shape = (*scores.shape[:-1], max_detections)
        return classes.new_zeros(shape, dtype=torch.int64), boxes.new_full(shape, NO_SCORE).float()
    keep, decayed = _repeat(pick, remaining, steps)
    decayed = torch.where(decayed >= score_floor, decayed, NO_SCORE).float()
    missing = (0, max_detections - steps)
    return F.pad(torch.where(decayed >= 0, keep, 0), missing), F.pad(
        decayed, missing, value=NO_SCORE
    )


def _repeat(pick: Callable, remaining: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """What `pick` found in each step, (*, steps); exported as a loop and not step by step."""
    if torch.compiler.is_compiling():
        from torch._higher_order_ops.scan import scan  # not in the oldest torch that we run on

        found = scan(pick, remaining, remaining.new_zeros(steps, 1))[1]
        keep, decayed = (each.squeeze(-1).movedim(0, -1) for each in found)
        return keep, decayed
    keep, decayed = [], []
    for _ in range(steps):
        remaining, (best, score) = pick(remaining, remaining)
        keep.append(best)
        decayed.append(score)
    return torch.cat(keep, dim=-1), torch.cat(decayed, dim=-1)


def check_soft_nms(
    boxes_xyxy: Tensor,
    scores: Tensor,
    classes: Tensor,
    method: str,
    sigma: float,
    score_floor: float,
    max_detections: int,
) -> None:
    """Raise a ValueError that names what `soft_nms` and `soft_nms_padded` cannot work with."""
    if method not in _METHODS:
        raise ValueError(
            f"Soft-NMS knows two decays. Received method={method!r}; choose one of {_METHODS}."
        )
    if not sigma > 0:
        raise ValueError(f"sigma divides a square, so it must be above 0. Received {sigma}.")
    if not score_floor >= 0:
        raise ValueError(f"Scores are in [0, 1], so the floor is too. Received {score_floor}.")
    if max_detections < 0:
        raise ValueError(f"max_detections is a number, so at least 0. Received {max_detections}.")
    if boxes_xyxy.dim() < 2 or boxes_xyxy.shape[-1] != 4:
        raise ValueError(f"Boxes must have shape (N, 4). Received {tuple(boxes_xyxy.shape)}.")
    if not boxes_xyxy.shape[:-1] == scores.shape == classes.shape:
        raise ValueError(
            "Each box has one score and one class. Received "
            f"{len(boxes_xyxy)} boxes, {len(scores)} scores and {len(classes)} classes."
        )
