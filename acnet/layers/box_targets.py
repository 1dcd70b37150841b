"""What is learnt from boxes: which object each box answers for, which are sampled, their offsets.

These are detectron2's `pairwise_iou`, `Matcher`, `subsample_labels` and `Box2BoxTransform` in fewer
operators, without loops over images, and with sizes that depend on no value, so that a GPU is never
waited for.

Shape shorthand:
    N: images
    G: places for the objects of an image, those beyond its own filled with zeros
    R: places for boxes
    S: places for samples
    *: any leading dimensions
    C: offsets of a box, one for each class
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss

from .host import constant, sent_along

# Overlaps compared at once: what a part of the batch holds bounds the memory, and on a CPU a matrix
# that leaves the cache costs more than a second call.
_MOST_PAIRS = 2**20
_NORMALIZERS = ("sampled", "positives")
_IOU_LOSSES = {
    "giou": generalized_box_iou_loss,
    "diou": distance_box_iou_loss,
    "ciou": complete_box_iou_loss,
}


def padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack images of different lengths, and at least one row of zeros after each longest.

    Args:
        rows: for each image (length, ...).

    Returns:
        (N, longest + 1, ...), and (N, longest + 1) bool, which rows are real.
    """
    lengths = [len(one) for one in rows]
    most = max(lengths) + 1
    stacked = torch.stack(
        [F.pad(one, [0, 0] * (one.dim() - 1) + [0, most - len(one)]) for one in rows]
    )
    places = torch.arange(most, device=stacked.device)
    return stacked, places < sent_along(lengths, places)[:, None]


@torch.no_grad()
def match(objects_xyxy: Tensor, boxes_xyxy: Tensor, matcher: Any) -> tuple[Tensor, Tensor]:
    """Give each box the object that it overlaps most, and a label by how much that is.

    Args:
        objects_xyxy: (N, G, 4), at least one place.
        boxes_xyxy: (N, R, 4), or (1, R, 4) for the same boxes in all images.
        matcher: detectron2's `Matcher`, whose thresholds and labels are read.

    Returns:
        (N, R) int64, which object, and (N, R) int8 labels: 1, 0, or -1 for neither. Images without
        objects have the index 0 and the label of no overlap.
    """
    # The first and last threshold are infinite.
    borders = constant(tuple(matcher.thresholds[1:-1]), objects_xyxy)
    labels = constant(tuple(matcher.labels), objects_xyxy, torch.int8)
    num_images, num_objects = objects_xyxy.shape[:2]
    size = max(1, _MOST_PAIRS // max(1, num_objects * boxes_xyxy.shape[1]))
    columns = boxes_xyxy.mT[:, :, None].contiguous()  # (N, 4, 1, R)
    found = []
    for start in range(0, num_images, size):
        part = slice(start, start + size)
        overlaps = _overlaps(objects_xyxy[part], columns[part] if len(columns) > 1 else columns)
        most, index = overlaps.max(dim=1)  # (n, R)
        label = labels[torch.bucketize(most, borders, right=True)]
        if matcher.allow_low_quality_matches:
            best = overlaps.amax(dim=2, keepdim=True)  # (n, G, 1)
            best = torch.where(best > 0, best, torch.inf)  # of a place without an object: none
            label = torch.where((overlaps == best).any(dim=1), 1, label)
        found.append((index, label))
    return tuple(torch.cat(one) for one in zip(*found, strict=True))


def _overlaps(objects_xyxy: Tensor, columns: Tensor) -> Tensor:
    """(n, G, R) intersection over union, of objects (n, G, 4) and boxes as columns (n, 4, 1, R)."""
    left, top, right, bottom = columns.unbind(dim=1)  # (n, 1, R)
    x1, y1, x2, y2 = objects_xyxy[..., None].unbind(dim=2)  # (n, G, 1)
    width = torch.minimum(right, x2).sub_(torch.maximum(left, x1)).clamp_(min=0)
    height = torch.minimum(bottom, y2).sub_(torch.maximum(top, y1)).clamp_(min=0)
    shared = width.mul_(height)
    union = ((x2 - x1) * (y2 - y1) + (right - left) * (bottom - top)).sub_(shared)
    return shared.div_(union.clamp_(min=torch.finfo(union.dtype).tiny))  # 0 for two without area


@torch.no_grad()
def sample(
    is_positive: Tensor, is_negative: Tensor, count: int, positive_fraction: float
) -> tuple[Tensor, Tensor]:
    """Choose at random which boxes of each image to train on, as detectron2's `subsample_labels`.

    Positives are up to their share of `count`, and negatives fill it up. All choices of as many are
    equally likely; they are the largest of random keys.

    Args:
        is_positive, is_negative: (N, R) bool.
        count: most samples of an image.
        positive_fraction: of `count`, most of them that are positives.

    Returns:
        (N, S) int64 indices, positives first, with S the smaller of `count` and R, and (N, S) bool,
        which are samples: where there are too few, what is left points anywhere.
    """
    num_boxes = is_positive.shape[1]
    places, most = min(count, num_boxes), min(int(count * positive_fraction), num_boxes)
    keys = torch.rand(is_positive.shape, device=is_positive.device)
    positive_keys, positives = torch.where(is_positive, keys, -1.0).topk(most, dim=1)
    negative_keys, negatives = torch.where(is_negative, keys, -1.0).topk(places, dim=1)
    num_positives = (positive_keys >= 0).sum(dim=1, keepdim=True)
    num_negatives = (negative_keys >= 0).sum(dim=1, keepdim=True)
    place = torch.arange(places, device=is_positive.device)
    column = torch.where(place < num_positives, place, place - num_positives + most)
    index = torch.cat([positives, negatives], dim=1).gather(1, column)
    return index, place < num_positives + num_negatives


def decode(deltas: Tensor, boxes_xyxy: Tensor, transform: Any) -> Tensor:
    """Move and scale boxes, as `transform.apply_deltas`.

    Args:
        deltas: (*, 4 * C), predicted.
        boxes_xyxy: (*, 4).

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


def check_normalizer(name: str) -> str:
    """Return what a loss of boxes is divided by, if there is such a normalizer.

    Args:
        name: "sampled", all boxes that were sampled, as in detectron2; or "positives", those with
            an object, the N_reg of Eq. (6).

    Raises:
        ValueError: There is none of that name.
    """
    # NOT IN PAPER: the default is detectron2's, whose weights and learning rates are known.
    if name not in _NORMALIZERS:
        raise ValueError(f"box_normalizer must be one of {_NORMALIZERS}. Received {name!r}.")
    return name


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
        kind: "smooth_l1" of the offsets; "giou", "diou" or "ciou" of the boxes.

    Raises:
        ValueError: for an unknown kind.
    """
    if kind != "smooth_l1" and kind not in _IOU_LOSSES:
        raise ValueError(
            f"box_reg_loss_type is one of {('smooth_l1', *_IOU_LOSSES)}. Received {kind!r}."
        )
    counts = counts[..., None]
    # Where nothing counts, numbers must still be finite: 0 times a gradient of NaN is NaN.
    unit = constant((0.0, 0.0, 1.0, 1.0), boxes_xyxy)
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
