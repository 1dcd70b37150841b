"""Region proposal network of detectron2 that computes only the proposals it may keep.

Shape shorthand:
    N: images of the batch
    R: anchors of one level (height x width x anchors of a cell)
    K: the best of them, `pre_nms_topk`
"""

import torch
from detectron2.config import configurable
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.proposal_generator.build import PROPOSAL_GENERATOR_REGISTRY
from detectron2.structures import Boxes, Instances
from torch import Tensor

from acnet.layers.nms import nms

from .heads import check_normalizer, positives_factor, sent_along

__all__ = ["BestFirstRPN"]


@PROPOSAL_GENERATOR_REGISTRY.register()
class BestFirstRPN(RPN):
    """`RPN` that ranks anchors first, and decodes and compares only the best.

    The proposals are those of detectron2's, box by box. It decodes every anchor of the grid, drops
    unusable boxes by masks whose sizes the host must wait for, and runs NMS over all that are left
    to throw away what exceeds `post_nms_topk`; here sizes are fixed until the last step, and NMS
    ends with the last proposal that is wanted.
    """

    @configurable
    def __init__(self, *, box_normalizer: str = "sampled", **kwargs):
        """
        Args:
            box_normalizer: what the boxes' loss is divided by, see `check_normalizer`.
            kwargs: as for `RPN`.
        """
        super().__init__(**kwargs)
        self.box_normalizer = check_normalizer(box_normalizer)

    @classmethod
    def from_config(cls, cfg, input_shape):
        parts = super().from_config(cfg, input_shape)
        return {**parts, "box_normalizer": cfg.MODEL.ACNET.BOX_NORMALIZER}

    def losses(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[Tensor],
        gt_labels: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        gt_boxes: list[Tensor],
    ) -> dict[str, Tensor]:
        """Same as `RPN.losses`, by the normalizer of one's choice."""
        losses = super().losses(
            anchors, pred_objectness_logits, gt_labels, pred_anchor_deltas, gt_boxes
        )
        if self.box_normalizer == "positives":
            sampled = self.batch_size_per_image * len(gt_labels)
            factor = positives_factor(torch.stack(gt_labels) == 1, sampled)
            losses["loss_rpn_loc"] = losses["loss_rpn_loc"] * factor
        return losses

    @torch.no_grad()
    def predict_proposals(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        """Same as `RPN.predict_proposals`.

        Args:
            anchors: for each level (R, 4).
            pred_objectness_logits: for each level (N, R).
            pred_anchor_deltas: for each level (N, R, 4).
            image_sizes: for each image its height and width.

        Returns:
            For each image at most `post_nms_topk` proposals, best first.

        Raises:
            FloatingPointError: in training, if a prediction is not finite.
        """
        levels = [
            self._best(*level)
            for level in zip(anchors, pred_objectness_logits, pred_anchor_deltas, strict=True)
        ]
        sizes = [(width, height, width, height) for height, width in image_sizes]
        limits = sent_along(sizes, levels[0][0])[:, None]  # (N, 1, 4)
        usable = [self._usable(*level, limits) for level in levels]
        found = [
            self._propose([(boxes[n], logits[n]) for boxes, logits in usable])
            for n in range(len(image_sizes))
        ]
        counts = [(logits > -torch.inf).sum() for _, logits in found]
        if self.training:
            finite = [one.isfinite().all() for level in levels for one in level]
            counts.append(torch.stack(finite).all())
        counts = torch.stack(counts).tolist()  # the one look at values, for all images
        if self.training and not counts.pop():
            raise FloatingPointError(
                "Predicted boxes or scores contain Inf/NaN. Training has diverged."
            )
        return [
            Instances(size, proposal_boxes=Boxes(boxes[:count]), objectness_logits=logits[:count])
            for size, count, (boxes, logits) in zip(image_sizes, counts, found, strict=True)
        ]

    def _best(self, anchors: Boxes, logits: Tensor, deltas: Tensor) -> tuple[Tensor, Tensor]:
        """Decode the best anchors of one level: boxes (N, K, 4) and logits (N, K), sorted."""
        count = min(logits.shape[1], self.pre_nms_topk[self.training])
        best_logits, index = logits.topk(count, dim=1)
        chosen = deltas.gather(1, index[..., None].expand(-1, -1, 4))
        boxes = self.box2box_transform.apply_deltas(
            chosen.reshape(-1, 4), anchors.tensor[index.reshape(-1)]
        )
        return boxes.view(*index.shape, 4), best_logits

    def _usable(self, boxes: Tensor, logits: Tensor, limits: Tensor) -> tuple[Tensor, Tensor]:
        """Clip the boxes (N, K, 4) of one level, and let unusable ones have a logit of -inf."""
        usable = boxes.isfinite().all(dim=2) & logits.isfinite()
        boxes = torch.where(usable[..., None], boxes, 0.0).clamp(min=0).minimum(limits)
        sides = boxes[..., 2:] - boxes[..., :2]
        usable &= (sides > self.min_box_size).all(dim=2)
        return boxes, torch.where(usable, logits, -torch.inf)

    def _propose(self, levels: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """The best of one image, of boxes (K, 4) and logits (K,) a level; -inf comes last."""
        limit = self.post_nms_topk[self.training]
        kept = [
            (boxes, logits, nms(boxes, logits, self.nms_thresh, limit)) for boxes, logits in levels
        ]
        boxes = torch.cat([boxes[keep] for boxes, _, keep in kept])
        logits = torch.cat([logits[keep] for _, logits, keep in kept])
        if len(levels) > 1:
            order = logits.argsort(descending=True, stable=True)[:limit]
            boxes, logits = boxes[order], logits[order]
        return boxes, logits
