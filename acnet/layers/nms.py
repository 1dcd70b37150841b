"""Hard NMS that stops when it has enough, and how loops over boxes are compiled for the CPU.

Shape shorthand:
    N: number of boxes
    K: number of picks, at most N
"""

import functools
import logging
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
import torchvision
from torch import Tensor

from .host import is_recorded

logger = logging.getLogger(__name__)
Function = TypeVar("Function", bound=Callable)

_CHUNK = 64  # picks compared before looking whether one of them hit: a few vectors of any CPU
_ZERO = np.float32(0)
# Division by zero gives inf or NaN as in torch, and other threads run meanwhile. No `fastmath`:
# it would let the compiler change results.
_OPTIONS = {"nogil": True, "error_model": "numpy"}


def compiled(function: Function) -> Function:
    """Compile a function of arrays and numbers at its first call.

    The compiler, numba, takes half a second to import, so it is imported at that call as well. The
    machine code is kept beside the source, else in the user's cache folder (`NUMBA_CACHE_DIR`
    overrides both), so that only the first process pays for it. The function is in one piece: it
    calls no other of ours.
    """

    @functools.cache
    def machine_code() -> Callable:
        import numba

        try:
            return numba.njit(function, cache=True, **_OPTIONS)
        except RuntimeError as error:  # "cannot cache function": no folder of these can be written
            logger.warning(
                "%s is compiled anew in each process, which takes seconds: %s. Set NUMBA_CACHE_DIR "
                "to a folder that can be written.",
                function.__name__,
                error,
            )
            return numba.njit(function, **_OPTIONS)

    @functools.wraps(function)
    def call(*arguments: object) -> object:
        return machine_code()(*arguments)

    return call


@torch.no_grad()
def nms(
    boxes_xyxy: Tensor, scores: Tensor, iou_threshold: float, max_keep: int | None = None
) -> Tensor:
    """Drop each box that overlaps a better one that was not dropped itself.

    The same as `torchvision.ops.nms(...)[:max_keep]`, pick by pick. On a CPU it is compiled and
    ends with the last pick that is wanted; elsewhere, and where torch records the computation
    (export, tracing, `torch.compile`), it is torchvision's.

    Args:
        boxes_xyxy: (N, 4), corners in pixels; compared in float32.
        scores: (N,); equal scores are picked in the order of the input.
        iou_threshold: overlap above which the worse box is dropped, in [0, 1].
        max_keep: most picks wanted, at least 0; None for all.

    Returns:
        (K,) int64 indices into the input, best first.

    Raises:
        ValueError: if the shapes do not fit or `max_keep` is negative.
    """
    _check_arguments(boxes_xyxy, scores, max_keep)
    boxes, scores = boxes_xyxy.float(), scores.float()
    if boxes.device.type != "cpu" or is_recorded():
        keep = torchvision.ops.nms(boxes, scores, iou_threshold)
        return keep if max_keep is None else keep[:max_keep]

    order = scores.argsort(descending=True, stable=True).numpy()
    limit = len(scores) if max_keep is None else max_keep
    return torch.from_numpy(pick_greedily(boxes.detach().numpy(), order, iou_threshold, limit))


def pick_greedily(
    boxes_xyxy: np.ndarray, order: np.ndarray, iou_threshold: float, max_keep: int
) -> np.ndarray:
    """Run `nms` on (N, 4) float32 boxes of the host, and return the picks, (K,) int64.

    `order` holds int64 indices of the boxes that are there, best first.
    """
    threshold = _float32_below(iou_threshold)
    return _pick_greedily(np.ascontiguousarray(boxes_xyxy), order, threshold, max_keep)


@compiled
def _pick_greedily(
    boxes_xyxy: np.ndarray, order: np.ndarray, iou_threshold: float, max_keep: int
) -> np.ndarray:
    """Pick boxes in the given order that overlap no earlier pick: (K,) int64.

    A box is compared with the picks, not with all other boxes: that ends at the first hit, and
    nothing is computed for boxes after the last pick that is wanted. Boxes and threshold are
    float32, the boxes C-contiguous.
    """
    limit = min(max_keep, len(order))
    keep = np.empty(limit, np.int64)
    kept = np.empty((5, limit), np.float32)  # x1, y1, x2, y2, area: each row one vector load
    picks = 0
    for index in order:
        if picks == limit:
            break
        x1, y1, x2, y2 = boxes_xyxy[index]
        area = (x2 - x1) * (y2 - y1)
        hit = np.int32(0)
        for start in range(0, picks, _CHUNK):
            for i in range(start, min(start + _CHUNK, picks)):  # no branch: vectorised
                # The comparisons of std::max and std::min, so that NaN does what it does there.
                left = kept[0, i] if x1 < kept[0, i] else x1
                top = kept[1, i] if y1 < kept[1, i] else y1
                right = kept[2, i] if kept[2, i] < x2 else x2
                bottom = kept[3, i] if kept[3, i] < y2 else y2
                width = right - left if right - left > _ZERO else _ZERO
                height = bottom - top if bottom - top > _ZERO else _ZERO
                intersection = width * height
                union = kept[4, i] + area - intersection
                hit |= np.int32(intersection / union > iou_threshold)
            if hit:
                break
        if not hit:
            keep[picks] = index
            kept[:, picks] = x1, y1, x2, y2, area
            picks += 1
    return keep[:picks]


def _float32_below(threshold: float) -> np.float32:
    """The largest float32 that is not above a number: `x > threshold` is the same for float32 x."""
    nearest = np.float32(threshold)
    # As a Python float, or NumPy would round the threshold before it compares.
    above = float(nearest) > threshold
    return np.nextafter(nearest, np.float32(-np.inf)) if above else nearest


def _check_arguments(boxes_xyxy: Tensor, scores: Tensor, max_keep: int | None) -> None:
    if boxes_xyxy.dim() != 2 or boxes_xyxy.shape[1] != 4:
        raise ValueError(f"Boxes must have shape (N, 4). Received {tuple(boxes_xyxy.shape)}.")
    if scores.dim() != 1 or len(scores) != len(boxes_xyxy):
        raise ValueError(
            f"Each box has one score. Received {len(boxes_xyxy)} boxes and scores of shape "
            f"{tuple(scores.shape)}."
        )
    if max_keep is not None and max_keep < 0:
        raise ValueError(f"max_keep is a number of boxes, so at least 0. Received {max_keep}.")
