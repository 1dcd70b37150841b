"""The RPN with a fixed number of proposals.

Shape shorthand:
    B, H, W: batch, height and width of the feature map
    A: anchors of a cell
    N: proposals before NMS
    K: proposals after NMS
"""

import torch
from detectron2.modeling.proposal_generator import RPN
from torch import Tensor, nn

from .boxes import clip, decode
from .nms import FixedNMS

__all__ = ["FixedProposals"]


class FixedProposals(nn.Module):
    """`RPN.forward` in evaluation mode, for one feature map of a known size."""

    def __init__(self, rpn: RPN, grid_hw: tuple[int, int], nms: FixedNMS):
        """
        Args:
            rpn: the model's own.
            grid_hw: H and W.
            nms: which form of NMS.
        """
        super().__init__()
        self.head = rpn.rpn_head
        device = next(rpn.parameters()).device
        (anchors,) = rpn.anchor_generator([torch.zeros(1, 1, *grid_hw, device=device)])
        self.register_buffer("anchors", anchors.tensor, persistent=False)  # (H * W * A, 4)
        num_anchors = len(anchors.tensor)
        self.num_before = min(rpn.pre_nms_topk[False], num_anchors)
        self.num_after = min(rpn.post_nms_topk[False], self.num_before)
        self.transform = _transform(rpn.box2box_transform)
        self.iou_threshold = rpn.nms_thresh
        self.min_box_size = rpn.min_box_size
        self.nms = nms

    def forward(self, features: Tensor, sizes_hw: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            features: (B, channels, H, W).
            sizes_hw: (B, 2) of the images without padding.

        Returns:
            Boxes (B, K, 4), best first, and which of them count (B, K); the others are zeros.
        """
        (logits,), (deltas,) = self.head([features])
        logits = logits.permute(0, 2, 3, 1).flatten(1)  # (B, H * W * A)
        deltas = deltas.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3)
        scores, best = logits.topk(self.num_before, dim=1)  # (B, N)
        best_deltas = deltas.gather(1, best[..., None].expand(-1, -1, 4))
        # Decoded after the choice, which gives the same boxes for a hundredth of the work.
        boxes = decode(best_deltas, self.anchors[best], *self.transform)[:, :, 0]  # (B, N, 4)
        valid = boxes.isfinite().all(dim=2) & scores.isfinite()
        boxes = clip(torch.where(valid[..., None], boxes, torch.zeros_like(boxes)), sizes_hw)
        sides = boxes[..., 2:] - boxes[..., :2]
        valid = valid & (sides > self.min_box_size).all(dim=2)
        picks = self.nms(boxes, valid, self.iou_threshold, self.num_after)  # (B, K)
        index = picks.clamp(min=0)[..., None].expand(-1, -1, 4)
        picked = picks >= 0
        return boxes.gather(1, index) * picked[..., None], picked


def _transform(transform: object) -> tuple[tuple[float, ...], float]:
    """What `decode` takes of a `Box2BoxTransform`."""
    return tuple(transform.weights), transform.scale_clamp
