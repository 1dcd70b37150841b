"""Region proposal network that computes only what it needs, and ranks in float32.

bfloat16 keeps 8 bits, so thousands of scores become equal. detectron2 ranks proposals by logits in
the precision of autocast; in float32 they cost little.

Shape shorthand:
    N: images of the batch
    R: anchors of a level, or of all (height x width x anchors of a cell)
    K: the best of them, `pre_nms_topk` of a level
    S: anchors that are sampled for training
"""

import functools
import itertools

import numpy as np
import torch
import torch.nn.functional as F
from detectron2.config import configurable
from detectron2.layers import cat
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.proposal_generator.build import PROPOSAL_GENERATOR_REGISTRY
from detectron2.modeling.proposal_generator.rpn import RPN_HEAD_REGISTRY, StandardRPNHead
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import get_event_storage
from torch import Tensor

from acnet.layers.box_targets import box_loss, check_normalizer, decode, match, padded, sample
from acnet.layers.host import (
    Fetched,
    Turns,
    begin_for_each_image,
    constant,
    finish,
    is_recorded,
    sent_along,
)
from acnet.layers.nms import pick_greedily

from .poolers import autocast_off

__all__ = ["BestFirstRPN", "Float32RPNHead"]

_MOST_GRIDS = 8  # whose anchors are kept


@RPN_HEAD_REGISTRY.register()
class Float32RPNHead(StandardRPNHead):
    """`StandardRPNHead` whose hidden convolution follows autocast and whose predictions do not."""

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Same as `StandardRPNHead.forward`, in float32."""
        logits, deltas = [], []
        for level in features:
            hidden = self.conv(level)
            with autocast_off(hidden):
                logits.append(self.objectness_logits(hidden.float()))
                deltas.append(self.anchor_deltas(hidden.float()))
        return logits, deltas


@PROPOSAL_GENERATOR_REGISTRY.register()
class BestFirstRPN(RPN):
    """`RPN` that ranks anchors first, and decodes and compares only the best.

    Proposals and losses are those of detectron2's. It decodes every anchor of the grid, compares
    all that may be picked on the device, and goes from image to image, waiting for the device at
    each; here the best go to the host at once, and NMS ends with the last proposal that is wanted.
    Which anchors are sampled is as random, by other random numbers.
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
        self._made_anchors: dict[tuple, list[Boxes]] = {}

    @classmethod
    def from_config(cls, cfg, input_shape):
        parts = super().from_config(cfg, input_shape)
        return {**parts, "box_normalizer": cfg.MODEL.ACNET.BOX_NORMALIZER}

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        gt_instances: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """Same as `RPN.forward`."""
        return finish(self.proposing(images, features, gt_instances))

    def proposing(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        gt_instances: list[Instances] | None = None,
    ) -> Turns[tuple[list[Instances], dict[str, Tensor]]]:
        """`forward`, in turns. The host picks proposals while the losses are computed."""
        maps = [features[name] for name in self.in_features]
        anchors = self._anchors(maps)
        logits, deltas = self.rpn_head(maps)
        logits = [one.permute(0, 2, 3, 1).flatten(1) for one in logits]
        sides = self.anchor_generator.box_dim
        deltas = [
            one.unflatten(1, (-1, sides)).permute(0, 3, 4, 1, 2).flatten(1, -2) for one in deltas
        ]
        picking = self._proposals(
            anchors, *([one.detach() for one in of] for of in (logits, deltas)), images.image_sizes
        )
        next(picking)
        losses = {}
        if self.training:
            gt_labels, gt_boxes = self.label_and_sample_anchors(anchors, gt_instances)
            losses = self.losses(anchors, logits, gt_labels, deltas, gt_boxes)
        yield
        return finish(picking), losses

    def _anchors(self, maps: list[Tensor]) -> list[Boxes]:
        """The anchors of the maps, which are made once for maps of their sizes.

        They come from the host, and sending them keeps it waiting until a GPU has nothing to do.
        """
        if is_recorded(*maps):
            return self.anchor_generator(maps)
        sizes = [(tuple(one.shape[-2:]), one.device) for one in maps]
        key = (*sizes, torch.is_inference_mode_enabled())
        if key not in self._made_anchors:
            if len(self._made_anchors) == _MOST_GRIDS:
                self._made_anchors.pop(next(iter(self._made_anchors)))
            self._made_anchors[key] = self.anchor_generator(maps)
        return self._made_anchors[key]

    @torch.no_grad()
    def label_and_sample_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Same as `RPN.label_and_sample_anchors`.

        Returns:
            For each image (R,) labels, 1 and 0 of what is sampled and -1 of the rest; and (R, 4)
            the box that each anchor is matched with.
        """
        anchors = Boxes.cat(anchors)
        gt_boxes, _ = padded([one.gt_boxes.tensor for one in gt_instances])
        matches, labels = match(gt_boxes, anchors.tensor[None], self.anchor_matcher)
        if self.anchor_boundary_thresh >= 0:
            limits = [one.image_size for one in gt_instances]
            inside = [anchors.inside_box(size, self.anchor_boundary_thresh) for size in limits]
            labels = torch.where(torch.stack(inside), labels, -1)
        index, is_sampled = sample(
            labels == 1, labels == 0, self.batch_size_per_image, self.positive_fraction
        )
        places = torch.where(is_sampled, index, len(anchors))  # what is no sample: one too far
        sampled = labels.new_full((len(labels), len(anchors) + 1), -1)
        sampled.scatter_(1, places, labels.gather(1, index))
        matched = gt_boxes.gather(1, matches[..., None].expand(-1, -1, 4))
        return list(sampled[:, :-1]), list(matched)

    def losses(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[Tensor],
        gt_labels: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        gt_boxes: list[Tensor],
    ) -> dict[str, Tensor]:
        """Same as `RPN.losses`, by the normalizer of one's choice, of the sampled anchors alone."""
        labels = torch.stack(gt_labels)
        # Those labelled 1, then those labelled 0; what is no sample fills up.
        label, index = labels.topk(min(self.batch_size_per_image, labels.shape[1]), dim=1)  # (N, S)
        is_positive, is_sampled = label == 1, label >= 0
        counts = torch.stack([is_positive.sum(), is_sampled.sum()])
        logits = cat(pred_objectness_logits, dim=1).gather(1, index)
        deltas = cat(pred_anchor_deltas, dim=1).gather(1, index[..., None].expand(-1, -1, 4))
        localization_loss = box_loss(
            deltas,
            Boxes.cat(anchors).tensor[index],
            torch.stack([boxes[one] for boxes, one in zip(gt_boxes, index, strict=True)]),
            is_positive,
            transform=self.box2box_transform,
            kind=self.box_reg_loss_type,
            beta=self.smooth_l1_beta,
        )
        objectness_loss = F.binary_cross_entropy_with_logits(
            logits.float(), is_positive.float(), weight=is_sampled.float(), reduction="sum"
        )
        normalizer = self.batch_size_per_image * len(labels)
        by_positives = self.box_normalizer == "positives"
        losses = {
            "loss_rpn_cls": objectness_loss / normalizer,
            "loss_rpn_loc": localization_loss
            / (counts[0].clamp(min=1) if by_positives else normalizer),  # Eq. (6)
        }
        num_positives, num_sampled = counts.cpu().tolist()
        storage = get_event_storage()
        storage.put_scalar("rpn/num_pos_anchors", num_positives / len(labels))
        storage.put_scalar("rpn/num_neg_anchors", (num_sampled - num_positives) / len(labels))
        return {name: loss * self.loss_weight.get(name, 1.0) for name, loss in losses.items()}

    @torch.no_grad()
    def predict_proposals(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        """Same as `RPN.predict_proposals`, of anchors (R, 4), logits (N, R) and deltas (N, R, 4).

        Raises:
            FloatingPointError: in training, if a prediction is not finite.
        """
        return finish(
            self._proposals(anchors, pred_objectness_logits, pred_anchor_deltas, image_sizes)
        )

    def _proposals(
        self,
        anchors: list[Boxes],
        logits: list[Tensor],
        deltas: list[Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> Turns[list[Instances]]:
        """`predict_proposals`, in turns."""
        levels = [self._best(*level) for level in zip(anchors, logits, deltas, strict=True)]
        borders = np.cumsum([0] + [one.shape[1] for one in levels]).tolist()
        # The one look at values, for all images.
        rows = Fetched(self._clipped(cat(levels, dim=1), image_sizes))
        propose = functools.partial(self._propose, borders=borders)
        found = begin_for_each_image(propose, rows, range(len(image_sizes)))
        yield
        kept = found()
        together = sent_along(np.concatenate(kept), levels[0])
        return [
            Instances(size, proposal_boxes=Boxes(one[:, :4]), objectness_logits=one[:, 4])
            for size, one in zip(image_sizes, together.split([len(x) for x in kept]), strict=True)
        ]

    def _best(self, anchors: Boxes, logits: Tensor, deltas: Tensor) -> Tensor:
        """Decode the best anchors of one level: (N, K, 5) boxes and their logits, best first."""
        count = min(logits.shape[1], self.pre_nms_topk[self.training])
        best_logits, index = logits.topk(count, dim=1)
        chosen = deltas.gather(1, index[..., None].expand(-1, -1, 4))
        boxes = decode(chosen, anchors.tensor[index], self.box2box_transform)[:, :, 0]
        return torch.cat([boxes, best_logits[..., None]], dim=2)

    def _clipped(self, rows: Tensor, image_sizes: list[tuple[int, int]]) -> Tensor:
        """Clip boxes to their images, and add a column: 1 for a box of use, 0 for one too small.

        Where a box or its logit is not finite it is -1.
        """
        limits = constant(tuple(((w, h, w, h),) for h, w in image_sizes), rows)
        boxes = rows[..., :4].clamp(min=0).minimum(limits)
        is_large = (boxes[..., 2:] - boxes[..., :2] > self.min_box_size).all(dim=2)
        kind = torch.where(rows.isfinite().all(dim=2), is_large.to(rows.dtype), -1)
        return torch.cat([boxes, rows[..., 4:], kind[..., None]], dim=2)

    def _propose(self, values: np.ndarray, image: int, borders: list[int]) -> np.ndarray:
        """The proposals (at most `post_nms_topk`, 5) of an image, among its best of all levels."""
        boxes, logits, kind = np.split(values[image], [4, 5], axis=1)
        if self.training and (kind < 0).any():
            raise FloatingPointError(
                "Predicted boxes or scores contain Inf/NaN. Training has diverged."
            )
        is_usable, boxes = kind[:, 0] > 0, np.ascontiguousarray(boxes)
        limit = self.post_nms_topk[self.training]
        kept = [
            pick_greedily(
                boxes, start + np.flatnonzero(is_usable[start:stop]), self.nms_thresh, limit
            )
            for start, stop in itertools.pairwise(borders)
        ]
        keep = np.concatenate(kept)
        keep = keep[np.argsort(-logits[keep, 0], kind="stable")[:limit]]
        return np.concatenate([boxes[keep], logits[keep]], axis=1)
