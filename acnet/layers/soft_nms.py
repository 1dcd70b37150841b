"""Soft-NMS (Bodla et al., 2017), with which the paper replaces NMS (IV-A.1).

Shape shorthand:
    N: number of candidate boxes
    K: number of picks, at most N
"""

import torch
from torch import Tensor

from .soft_nms_padded import check_soft_nms, soft_nms_padded

__all__ = ["soft_nms"]

_MANY_CLASSES = 1024  # from here on their numbers are replaced by 0, 1, 2, ... first


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
    `max_detections` picks gives exactly the best `max_detections` of the whole run. On a CPU that
    loop is compiled; elsewhere it is `soft_nms_padded`, which picks the same.

    Args:
        boxes_xyxy: (N, 4), corners in pixels; a box with a corner that is not finite overlaps none.
        scores: (N,), in [0, 1]; boxes whose score is NaN or negative are never picked.
        classes: (N,) integers; boxes of different classes leave each other alone.
        method: "linear" multiplies by `1 - iou` where `iou > iou_threshold`;
            "gaussian" multiplies by `exp(-iou^2 / sigma)` everywhere.
        iou_threshold: overlap above which the linear decay acts, in [0, 1].
        sigma: width of the Gaussian decay, above 0.
        score_floor: picks end when the best decayed score is below it; at least 0.
        max_detections: most picks wanted, at least 0; None for all.

    Returns:
        Indices into the input (K,) and their decayed scores (K,) in float32, in the order of
        picking. Equal scores are picked in the order of the input.

    Raises:
        ValueError: for an unknown method, a sigma not above 0, a negative floor or number of
            detections, or inputs whose lengths differ.

    Reference: paper, IV-A.1 and [24]; the candidate loop of Fig. 2 in Soft-NMS.
    """
    limit = len(scores) if max_detections is None else max_detections
    check_soft_nms(boxes_xyxy, scores, classes, method, sigma, score_floor, limit)
    if boxes_xyxy.device.type != "cpu" or torch.compiler.is_compiling() or torch.jit.is_tracing():
        keep, decayed = soft_nms_padded(
            boxes_xyxy,
            scores,
            classes,
            method=method,
            iou_threshold=iou_threshold,
            sigma=sigma,
            score_floor=score_floor,
            max_detections=min(limit, len(scores)),
        )
        picked = decayed >= 0
        return keep[picked], decayed[picked]

    from ._soft_nms_loop import pick_softly

    classes, num_classes = _numbered(classes)
    keep, decayed = pick_softly(
        boxes_xyxy.detach().float().contiguous().numpy(),
        scores.detach().float().contiguous().numpy(),
        classes.contiguous().numpy(),
        num_classes,
        method == "gaussian",
        float(iou_threshold),
        float(sigma),
        float(score_floor),
        limit,
    )
    return torch.from_numpy(keep), torch.from_numpy(decayed)


def _numbered(classes: Tensor) -> tuple[Tensor, int]:
    """The classes as int64 from 0, and how many numbers there are."""
    if len(classes) == 0:
        return classes.long(), 1
    low, high = classes.aminmax()
    if not classes.is_floating_point() and low >= 0 and high < _MANY_CLASSES:
        return classes.long(), int(high) + 1
    present, numbers = classes.unique(return_inverse=True)
    return numbers, len(present)
