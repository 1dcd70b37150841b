"""NMS with as many places for picks as there may be: one form for torch, one for ONNX.

Both take boxes that are sorted, best first, and give the same picks as torchvision's `nms`.

Shape shorthand:
    B: images of a batch
    N: boxes of an image
    K: places for picks
"""

from typing import Protocol

import torch
import torchvision  # noqa: F401 - brings torch.ops.torchvision
from torch import Tensor
from torch._higher_order_ops.while_loop import while_loop

__all__ = ["FixedNMS", "onnx_nms", "torch_nms"]


class FixedNMS(Protocol):
    """NMS whose result has a fixed size."""

    def __call__(
        self, boxes_xyxy: Tensor, valid: Tensor, iou_threshold: float, max_picks: int
    ) -> Tensor:
        """
        Args:
            boxes_xyxy: (B, N, 4), best first.
            valid: (B, N) bool; other boxes neither stay nor suppress.
            iou_threshold: a box goes if it overlaps a better one by more.
            max_picks: K, at most N.

        Returns:
            (B, K) int64 indices, best first, -1 in the places that are left.
        """


def torch_nms(boxes_xyxy: Tensor, valid: Tensor, iou_threshold: float, max_picks: int) -> Tensor:
    """`FixedNMS` by torchvision's operator, image by image in a loop that torch exports.

    The operator gives as many indices as there are picks. Inside the loop they become a mask, whose
    size is known.
    """
    num_images, num_boxes = valid.shape
    ranks = _ranks(valid)
    lanes = torch.arange(num_images, device=valid.device)

    def unfinished(index: Tensor, kept: Tensor) -> Tensor:
        return index < num_images

    def keep_of_one(index: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        one = index[None]
        picks = torch.ops.torchvision.nms(
            boxes_xyxy.index_select(0, one)[0], ranks.index_select(0, one)[0], iou_threshold
        )
        row = ranks.new_zeros(num_boxes).index_put((picks,), ranks.new_ones(()))
        return index + 1, torch.where((lanes == index)[:, None], row, kept)

    first = torch.zeros((), dtype=torch.int64, device=valid.device)
    _, kept = while_loop(unfinished, keep_of_one, (first, torch.zeros_like(ranks)))
    return _in_order(ranks * kept, max_picks)


def onnx_nms(boxes_xyxy: Tensor, valid: Tensor, iou_threshold: float, max_picks: int) -> Tensor:
    """`FixedNMS` by ONNX's operator, which stops after K picks. It is exported, and never run."""
    num_images, _ = valid.shape
    ranks = _ranks(valid)
    limits = (
        torch.tensor([max_picks]),
        torch.tensor([iou_threshold], dtype=torch.float32),
        torch.tensor([0.0]),  # ranks of boxes that count are above it
    )
    picks = torch.onnx.ops.symbolic(
        "NonMaxSuppression",
        (boxes_xyxy, ranks[:, None], *limits),
        dtype=torch.int64,
        # It gives fewer rows where there are fewer picks; nothing below depends on their number.
        shape=(num_images * max_picks, 3),
        version=11,
    )
    image, _, box = picks.unbind(dim=1)
    kept = torch.zeros_like(ranks).index_put((image, box), ranks.new_ones(()))
    return _in_order(ranks * kept, max_picks)


def _ranks(valid: Tensor) -> Tensor:
    """(B, N): N for the first box down to 1 for the last, 0 for those that do not count.

    Their order is all that NMS needs of the scores, and no two of them are equal.
    """
    num_boxes = valid.shape[1]
    ranks = torch.arange(num_boxes, 0, -1, dtype=torch.float32, device=valid.device)
    return torch.where(valid, ranks, torch.zeros_like(ranks))


def _in_order(kept_ranks: Tensor, max_picks: int) -> Tensor:
    rank, index = kept_ranks.topk(max_picks, dim=1)
    return torch.where(rank > 0, index, -1)
