"""Soft-NMS (Bodla et al., 2017), with which the paper replaces NMS (IV-A.1).

It comes in two forms that pick the same: a compiled loop on the host, and one in torch operators
with sizes that are known beforehand, which torch and ONNX export.

Shape shorthand:
    *: any leading dimensions, such as the images of a batch
    N: number of candidate boxes
    K: number of picks, at most N
    M: places for picks in the form for export
"""

import heapq
import math

import numpy as np
import torch
from torch import Tensor

from .host import is_recorded
from .nms import compiled

NO_SCORE = -1.0  # of padding and of a picked box, below all others
_METHODS = ("linear", "gaussian")


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
    `max_detections` picks gives exactly the best `max_detections` of the whole run. It runs on the
    host: candidates on another device are brought there and back in one transfer each.

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

    Example:
        keep, scores = soft_nms(boxes, scores, classes, max_detections=300)
    """
    limit = len(scores) if max_detections is None else max_detections
    _check(boxes_xyxy, scores, classes, method, sigma, score_floor, limit)
    decay = {"method": method, "iou_threshold": iou_threshold, "sigma": sigma}
    if is_recorded():
        keep, decayed = soft_nms_padded(
            boxes_xyxy.double(),
            scores.double(),
            classes,
            score_floor=score_floor,
            max_detections=min(limit, len(scores)),
            **decay,
        )
        picked = decayed >= 0
        return keep[picked], decayed[picked].float()
    if classes.is_floating_point():
        classes = classes.unique(return_inverse=True)[1]
    # float64 holds all that float32 and the numbers of classes hold. Apple's chips lack it.
    dtype = torch.float32 if boxes_xyxy.device.type == "mps" else torch.float64
    columns = [boxes_xyxy, scores[:, None], classes[:, None]]
    rows = torch.cat([one.to(dtype) for one in columns], dim=1).cpu().numpy()
    keep, decayed = soft_nms_on_host(
        *(rows[:, :4], rows[:, 4], rows[:, 5]),
        score_floor=score_floor,
        max_detections=limit,
        **decay,
    )
    device = boxes_xyxy.device
    return torch.from_numpy(keep).to(device), torch.from_numpy(decayed).to(device)


def soft_nms_on_host(
    boxes_xyxy: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    *,
    method: str,
    iou_threshold: float,
    sigma: float,
    score_floor: float,
    max_detections: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Run `soft_nms` on arrays of the host: (K,) int64 picks and (K,) float32 decayed scores."""
    limit = len(scores) if max_detections is None else max_detections
    _check(boxes_xyxy, scores, classes, method, sigma, score_floor, limit)
    finite = np.isfinite(boxes_xyxy).all(axis=1, keepdims=True)
    boxes = np.where(finite, boxes_xyxy, 0).astype(np.float64)
    labels = classes.astype(np.int64)
    keep, decayed = _pick_softly(
        boxes,
        np.nan_to_num(scores.astype(np.float64), nan=NO_SCORE, neginf=NO_SCORE),
        labels,
        np.lexsort((boxes[:, 0], labels)),
        method == "gaussian",
        float(iou_threshold),
        float(sigma),
        float(score_floor),
        limit,
    )
    return keep, decayed.astype(np.float32)


@compiled
def _pick_softly(boxes, scores, classes, order, gaussian, iou_threshold, sigma, floor, limit):
    """Pick boxes until enough are picked or the best decayed score is below the floor.

    A pick decays the scores of its rivals at once. In the order of their left sides, the rivals are
    neighbours: a box further right than the pick ends overlaps it no more, and neither does one
    from which on everything to the left ends before the pick begins. Scores only fall, so those in
    the queue are upper bounds: what has fallen since goes back, and the foremost is picked.

    Args:
        boxes: (N, 4) finite float64; `scores`, (N,), are float64 without NaN, `classes` int64.
        order: (N,) int64, the boxes class by class, and in a class by their left sides.

    Returns:
        (K,) int64 indices and (K,) float64 decayed scores.
    """
    x1, y1, x2, y2 = boxes[order, 0], boxes[order, 1], boxes[order, 2], boxes[order, 3]
    area = np.maximum(x2 - x1, 0.0) * np.maximum(y2 - y1, 0.0)
    score, label, reach, iou = scores[order], classes[order], x2.copy(), np.empty_like(x2)
    for p in range(1, len(order)):  # where this box and all to its left in its class end
        if label[p] == label[p - 1]:
            reach[p] = max(x2[p], reach[p - 1])
    queue = [(-score[p], order[p], p) for p in range(len(order)) if score[p] >= floor]
    heapq.heapify(queue)  # best score first, of equal ones the lowest index
    limit = min(limit, len(queue))
    keep, decayed, picks = np.empty(limit, np.int64), np.empty(limit, np.float64), 0
    while queue and picks < limit:
        bound, i, p = queue[0]
        if score[p] != -bound:
            if score[p] >= floor:
                heapq.heapreplace(queue, (-score[p], i, p))
            else:
                heapq.heappop(queue)
            continue
        heapq.heappop(queue)
        keep[picks], decayed[picks] = i, score[p]
        picks += 1
        left, top, right, bottom, own, low, high = x1[p], y1[p], x2[p], y2[p], area[p], p, p + 1
        while low > 0 and label[low - 1] == label[p] and reach[low - 1] > left:
            low -= 1
        while high < len(order) and label[high] == label[p] and x1[high] < right:
            high += 1
        for q in range(low, high):  # no branch: vectorised
            width = (x2[q] if x2[q] < right else right) - (x1[q] if x1[q] > left else left)
            height = (y2[q] if y2[q] < bottom else bottom) - (y1[q] if y1[q] > top else top)
            intersection = (width if width > 0 else 0.0) * (height if height > 0 else 0.0)
            iou[q] = intersection / (own + area[q] - intersection)
        for q in range(low, high):  # picks lose as well, which nobody reads any more
            if not gaussian:
                score[q] *= 1 - iou[q] if iou[q] > iou_threshold else 1.0
            elif iou[q] > 0:
                score[q] *= math.exp(-iou[q] * iou[q] / sigma)
    return keep[:picks], decayed[:picks]


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
    """Decay scores as `soft_nms` does, in torch operators and with a fixed size of output.

    No size here depends on a value, so that torch and ONNX export it, as a loop that ends early.
    One call takes all images of a batch. It computes in the precision of the scores.

    Args:
        boxes_xyxy: (*, N, 4); all arguments are as for `soft_nms`, with more dimensions in front.
        scores: (*, N), in [0, 1]; -1 for padding.
        max_detections: M.

    Returns:
        Indices into the input (*, M) and their decayed scores (*, M), in the order of picking.
        Where there are fewer picks, the rest has index 0 and score -1.

    Raises:
        ValueError: as `soft_nms`.
    """
    _check(boxes_xyxy, scores, classes, method, sigma, score_floor, max_detections)
    steps = min(max_detections, scores.shape[-1])
    if steps == 0:
        shape = (*scores.shape[:-1], max_detections)
        return classes.new_zeros(shape, dtype=torch.int64), scores.new_full(shape, NO_SCORE)
    finite = boxes_xyxy.isfinite().all(dim=-1, keepdim=True)
    boxes = torch.where(finite, boxes_xyxy, 0).to(scores.dtype)
    box_areas = areas(boxes)
    remaining = scores.nan_to_num(nan=NO_SCORE, neginf=NO_SCORE)
    places = torch.arange(max_detections, device=scores.device)
    decay = {"method": method, "iou_threshold": iou_threshold, "sigma": sigma}

    def unfinished(step: Tensor, remaining: Tensor, picks: Tensor, decayed: Tensor) -> Tensor:
        return (step < steps) & (remaining.flatten().amax(dim=0) >= score_floor)

    def pick(step: Tensor, remaining: Tensor, picks: Tensor, decayed: Tensor) -> tuple[Tensor, ...]:
        best, score, remaining = pick_best(remaining, boxes, box_areas, classes, **decay)
        here = places == step
        return (
            step + 1,
            remaining,
            torch.where(here, best, picks),
            torch.where(here, score, decayed),
        )

    first = torch.zeros((), dtype=torch.int64, device=scores.device)
    empty = remaining[..., :1].expand(*scores.shape[:-1], max_detections) * 0 + NO_SCORE
    state = (first, remaining, torch.zeros_like(empty, dtype=torch.int64), empty)
    if torch.compiler.is_compiling():
        from torch._higher_order_ops.while_loop import while_loop

        state = while_loop(unfinished, pick, state)
    else:
        for _ in range(steps):  # without asking whether it is finished, for which a device waits
            state = pick(*state)
    _, _, picks, decayed = state
    # Where other images of the batch have more, this one went on below the floor.
    found = decayed >= score_floor
    return torch.where(found, picks, 0), torch.where(found, decayed, NO_SCORE)


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
        box_areas: (*, N), of `areas`; the others are as for `soft_nms_padded`.

    Returns:
        The index (*, 1) of the pick, the first of equal scores; its score (*, 1); and the scores
        that remain (*, N).
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
    """Intersection over union (*, N) of one box (*, 1, 4) with all; 0 for two without area."""
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


def _check(
    boxes_xyxy: Tensor | np.ndarray,
    scores: Tensor | np.ndarray,
    classes: Tensor | np.ndarray,
    method: str,
    sigma: float,
    score_floor: float,
    max_detections: int,
) -> None:
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
    if len(boxes_xyxy.shape) < 2 or boxes_xyxy.shape[-1] != 4:
        raise ValueError(f"Boxes must have shape (N, 4). Received {tuple(boxes_xyxy.shape)}.")
    if not boxes_xyxy.shape[:-1] == scores.shape == classes.shape:
        raise ValueError(
            "Each box has one score and one class. Received "
            f"{len(boxes_xyxy)} boxes, {len(scores)} scores and {len(classes)} classes."
        )
