"""Soft-NMS as a loop that torch and ONNX export, over a batch at once.

Shape shorthand:
    B: images of a batch
    N: candidates of an image
    K: most picks of an image
"""

import torch
from torch import Tensor, nn
from torch._higher_order_ops.while_loop import while_loop

from acnet.layers.soft_nms import NO_SCORE, areas, pick_best

__all__ = ["SoftNMSLoop"]


class SoftNMSLoop(nn.Module):
    """`acnet.layers.soft_nms` with K places for picks.

    It ends when no image of the batch has a candidate above the floor, or after K picks.

    Reference: paper, IV-A.1 and [24].
    """

    def __init__(
        self,
        *,
        method: str,
        iou_threshold: float,
        sigma: float,
        score_floor: float,
        max_detections: int,
    ):
        """
        Args:
            method, iou_threshold, sigma, score_floor: see `acnet.layers.soft_nms`.
            max_detections: K.
        """
        super().__init__()
        self.decay = {"method": method, "iou_threshold": iou_threshold, "sigma": sigma}
        self.score_floor = score_floor
        self.max_detections = max_detections

    def forward(
        self, boxes_xyxy: Tensor, scores: Tensor, classes: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """
        Args:
            boxes_xyxy: (B, N, 4).
            scores: (B, N); -1 where there is no candidate.
            classes: (N,) int64, the same for all images.

        Returns:
            Boxes (B, K, 4), decayed scores (B, K) and classes (B, K), in the order of picking; the
            score is -1 in places that are left.
        """
        places = torch.arange(self.max_detections, device=scores.device)
        box_areas = areas(boxes_xyxy)

        def unfinished(step: Tensor, remaining: Tensor, picks: Tensor, decayed: Tensor) -> Tensor:
            best = remaining.flatten().amax(dim=0)
            return (step < self.max_detections) & (best >= self.score_floor)

        def pick(
            step: Tensor, remaining: Tensor, picks: Tensor, decayed: Tensor
        ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            best, score, remaining = pick_best(
                remaining, boxes_xyxy, box_areas, classes.expand(remaining.shape), **self.decay
            )
            here = places == step
            return (
                step + 1,
                remaining,
                torch.where(here, best, picks),
                torch.where(here, score, decayed),
            )

        start = torch.zeros((), dtype=torch.int64, device=scores.device)
        empty = scores[:, :1].expand(-1, self.max_detections) * 0 + NO_SCORE
        state = (start, scores.clone(), torch.zeros_like(empty, dtype=torch.int64), empty)
        _, _, picks, decayed = while_loop(unfinished, pick, state)
        # Where other images of the batch have more, this one goes on below the floor.
        is_found = decayed >= self.score_floor
        boxes = boxes_xyxy.gather(1, picks[..., None].expand(-1, -1, 4)) * is_found[..., None]
        return boxes, torch.where(is_found, decayed, NO_SCORE), classes[picks] * is_found
