"""Which boxes answer for which objects, and which of them a step trains on, batch by batch.

These are detectron2's `pairwise_iou`, `Matcher` and `subsample_labels` without loops over images
and with sizes that depend on no value, so that a GPU is never waited for.

Shape shorthand:
    N: images
    G: places for the objects of an image, those beyond its own filled with zeros
    R: places for boxes
    S: places for samples
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["match", "padded", "sample", "sent_along"]

# Overlaps compared at once: what a part of the batch holds bounds the memory, and on a CPU a matrix
# that leaves the cache costs more than a second call.
_MOST_PAIRS = 2**20


def sent_along(values: list | np.ndarray, like: Tensor) -> Tensor:
    """Put values of the host beside a tensor, for which a GPU's host does not wait.

    A list takes the tensor's type, an array keeps its own.
    """
    if isinstance(values, np.ndarray):
        tensor = torch.from_numpy(values)
    else:
        tensor = torch.tensor(values, dtype=like.dtype)
    if like.is_cuda:
        tensor = tensor.pin_memory()
    return tensor.to(like.device, non_blocking=True)


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
    borders = sent_along(matcher.thresholds[1:-1], objects_xyxy)  # the first and last are infinite
    labels = sent_along(np.array(matcher.labels, np.int8), objects_xyxy)
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
