"""ROI heads of detectron2 that sample a batch at once, and end with Soft-NMS.

For LazyConfig these are detectron2's heads with the parts of ours put in. The classes of ROI heads
exist for yaml users, whose heads build their own parts.

Shape shorthand:
    N: images of the batch
    R: proposals of an image, or of all
    G: objects of an image
    D: detections of an image
"""

import functools
import itertools

import numpy as np
import torch
import torch.nn.functional as F
from detectron2.config import configurable
from detectron2.layers import ShapeSpec, cat
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, Res5ROIHeads, StandardROIHeads
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import get_event_storage
from torch import Tensor

from acnet.layers.box_targets import box_loss, check_normalizer, decode, match, padded, sample
from acnet.layers.host import Fetched, Turns, begin_for_each_image, finish, sent_along
from acnet.layers.soft_nms import soft_nms_on_host

from .poolers import autocast_off, pooler_of

MIN_SIDE = 1e-3  # of a detection, in pixels; detectron2 drops empty ones after resizing


class SoftNMSOutputLayers(FastRCNNOutputLayers):
    """`FastRCNNOutputLayers` with Soft-NMS in the place of NMS on the final detections.

    Reference: paper, IV-A.1.
    """

    @configurable
    def __init__(
        self,
        input_shape,
        *,
        soft_nms_method: str = "linear",
        soft_nms_sigma: float = 0.5,
        score_floor: float = 1e-3,
        box_normalizer: str = "sampled",
        test_score_thresh: float = 1e-3,
        test_nms_thresh: float = 0.3,
        **kwargs,
    ):
        """
        Args:
            soft_nms_method, soft_nms_sigma, score_floor: see `acnet.layers.soft_nms`.
            box_normalizer: what the boxes' loss is divided by, see `check_normalizer`.
            test_score_thresh: boxes not above it are no candidates.
            test_nms_thresh: overlap above which the linear decay acts.
            kwargs: as for `FastRCNNOutputLayers`.
        """
        # NOT IN PAPER: method, thresholds and floor; at a detector's score threshold of 0.05 the
        # floor would undo what Soft-NMS is for.
        super().__init__(
            input_shape,
            test_score_thresh=test_score_thresh,
            test_nms_thresh=test_nms_thresh,
            **kwargs,
        )
        self.soft_nms_method = soft_nms_method
        self.soft_nms_sigma = soft_nms_sigma
        self.score_floor = score_floor
        self.box_normalizer = check_normalizer(box_normalizer)

    @classmethod
    def from_config(cls, cfg, input_shape):
        soft_nms_cfg = cfg.MODEL.ACNET.SOFT_NMS
        return {
            **super().from_config(cfg, input_shape),
            "soft_nms_method": soft_nms_cfg.METHOD,
            "soft_nms_sigma": soft_nms_cfg.SIGMA,
            "score_floor": soft_nms_cfg.SCORE_FLOOR,
            "box_normalizer": cfg.MODEL.ACNET.BOX_NORMALIZER,
        }

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Same as `FastRCNNOutputLayers.forward`, in float32 under any autocast."""
        with autocast_off(x):
            return super().forward(x.float())

    def losses(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> dict[str, Tensor]:
        """Same as `FastRCNNOutputLayers.losses`; a proposal of the class -1 is no sample."""
        if self.use_sigmoid_ce or not proposals:
            return super().losses(predictions, proposals)
        logits, deltas = predictions
        classes = cat([one.gt_classes for one in proposals])
        boxes = cat([one.proposal_boxes.tensor for one in proposals])
        targets = [one.gt_boxes if one.has("gt_boxes") else one.proposal_boxes for one in proposals]
        num_sampled = self._log_samples(logits, classes, len(proposals))
        loss_cls = F.cross_entropy(logits, classes, ignore_index=-1, reduction="sum")
        losses = {
            "loss_cls": loss_cls / max(num_sampled, 1),
            "loss_box_reg": self.box_reg_loss(
                boxes, cat([one.tensor for one in targets]), deltas, classes
            ),
        }
        return {name: loss * self.loss_weight.get(name, 1.0) for name, loss in losses.items()}

    def box_reg_loss(
        self, proposal_boxes: Tensor, gt_boxes: Tensor, pred_deltas: Tensor, gt_classes: Tensor
    ) -> Tensor:
        """Same as `FastRCNNOutputLayers.box_reg_loss`, by the normalizer of one's choice."""
        is_positive = (gt_classes >= 0) & (gt_classes < self.num_classes)
        deltas = pred_deltas.unflatten(1, (-1, 4))  # (R, classes or 1, 4)
        column = gt_classes.clamp(0, deltas.shape[1] - 1)[:, None, None].expand(-1, 1, 4)
        loss = box_loss(
            deltas.gather(1, column)[:, 0],
            proposal_boxes,
            gt_boxes,
            is_positive,
            transform=self.box2box_transform,
            kind=self.box_reg_loss_type,
            beta=self.smooth_l1_beta,
        )
        is_counted = is_positive if self.box_normalizer == "positives" else gt_classes >= 0
        return loss / is_counted.sum().clamp(min=1)  # Eq. (6)

    def _log_samples(self, logits: Tensor, classes: Tensor, num_images: int) -> int:
        """Put detectron2's scalars, by one look at values, and return the number of samples."""
        predicted, background = logits.argmax(dim=1), self.num_classes
        is_positive = (classes >= 0) & (classes < background)
        is_right = predicted == classes
        seen = [classes >= 0, is_positive, is_right]
        seen += [is_right & is_positive, (predicted == background) & is_positive]
        sampled, positive, right, found, missed = torch.stack(seen).sum(dim=1).cpu().tolist()
        storage = get_event_storage()
        storage.put_scalar("roi_head/num_fg_samples", positive / num_images)
        storage.put_scalar("roi_head/num_bg_samples", (sampled - positive) / num_images)
        if sampled:
            storage.put_scalar("fast_rcnn/cls_accuracy", right / sampled)
        if positive:
            storage.put_scalar("fast_rcnn/fg_cls_accuracy", found / positive)
            storage.put_scalar("fast_rcnn/false_negative", missed / positive)
        return sampled

    @torch.no_grad()
    def inference(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> tuple[list[Instances], list[Tensor]]:
        """Return each image's detections, best first, and the index of the proposal of each."""
        return finish(self.detecting(predictions, proposals))

    @torch.no_grad()
    def detecting(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> Turns[tuple[list[Instances], list[Tensor]]]:
        """`inference`, in turns."""
        if not proposals:
            return [], []
        logits, deltas = predictions
        sources = cat([one.proposal_boxes.tensor for one in proposals])
        boxes = decode(deltas, sources, self.box2box_transform)  # (R, classes or 1, 4)
        scores = logits.sigmoid() if self.use_sigmoid_ce else logits.softmax(dim=1)
        counts = [len(one) for one in proposals]
        sizes_hw = [one.image_size for one in proposals]
        limits = np.repeat(
            np.array([[w, h, w, h] for h, w in sizes_hw], np.float32), counts, axis=0
        )
        boxes, scores = self._candidates(boxes, scores[:, :-1].float(), sent_along(limits, boxes))
        # The one look at values, for all images.
        rows = Fetched(torch.cat([boxes.flatten(1), scores], dim=1))
        borders = itertools.pairwise(np.cumsum([0, *counts]).tolist())
        detect = functools.partial(self._detect, num_classes=scores.shape[1])
        found = begin_for_each_image(detect, rows, borders)
        yield
        kept = found()
        counts = [len(numbers) for numbers, _ in kept]
        numbers, indices = (
            sent_along(np.concatenate(one), deltas).split(counts) for one in zip(*kept, strict=True)
        )
        results = [
            Instances(
                one.image_size,
                pred_boxes=Boxes(number[:, :4]),
                scores=number[:, 4],
                pred_classes=index[:, 0],
            )
            for one, number, index in zip(proposals, numbers, indices, strict=True)
        ]
        return results, [index[:, 1] for index in indices]

    def _candidates(self, boxes: Tensor, scores: Tensor, limits: Tensor) -> tuple[Tensor, Tensor]:
        """Clip boxes to `limits` (R, 4), and let the score of what is no candidate be NaN."""
        clipped = boxes.clamp(min=0).minimum(limits[:, None])
        is_box = boxes.isfinite() & (clipped[..., 2:] - clipped[..., :2] > MIN_SIDE).repeat(1, 1, 2)
        is_candidate = is_box.all(dim=2) & (scores > self.test_score_thresh) & scores.isfinite()
        return clipped, scores.where(is_candidate, torch.nan)

    def _detect(
        self, values: np.ndarray, part: tuple[int, int], num_classes: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Choose the detections of an image, whose rows are a part of what was fetched.

        Returns:
            (D, 5) float32, the boxes and their scores, and (D, 2) int64, their classes and from
            which of the image's rows they are.
        """
        boxes, scores = np.split(values[slice(*part)], [-num_classes], axis=1)
        proposal, classes = np.nonzero(~np.isnan(scores))
        boxes = boxes.reshape(len(boxes), boxes.shape[1] // 4, 4)
        boxes = boxes[proposal, classes if boxes.shape[1] > 1 else 0]
        scores = scores[proposal, classes]
        most = self.test_topk_per_image
        keep, decayed = soft_nms_on_host(
            boxes, scores, classes, max_detections=most if most >= 0 else None, **self.decay()
        )
        return np.column_stack([boxes[keep], decayed]), np.column_stack([classes, proposal])[keep]

    def decay(self) -> dict[str, str | float]:
        """Arguments of `soft_nms` that say how scores fall."""
        return {
            "method": self.soft_nms_method,
            "iou_threshold": self.test_nms_thresh,
            "sigma": self.soft_nms_sigma,
            "score_floor": self.score_floor,
        }


class BatchHeads:
    """Mixin for `ROIHeads` that matches and samples all images at once, and detects in turns."""

    def detecting(
        self, features: dict[str, Tensor], proposals: list[Instances]
    ) -> Turns[list[Instances]]:
        """`forward` in evaluation, in turns."""
        predictions = self.predictions(features, [one.proposal_boxes for one in proposals])
        found, _ = yield from self.box_predictor.detecting(predictions, proposals)
        return self.forward_with_given_boxes(features, found)

    @torch.no_grad()
    def label_and_sample_proposals(
        self, proposals: list[Instances], targets: list[Instances]
    ) -> list[Instances]:
        """Same as `ROIHeads.label_and_sample_proposals`, by other random numbers.

        Returns:
            For each image as many proposals as for any other, positives first; where there are too
            few, what fills up has the class -1, which `SoftNMSOutputLayers.losses` leaves out.
        """
        predictor = self.box_predictor
        if not isinstance(predictor, SoftNMSOutputLayers) or predictor.use_sigmoid_ce:
            return super().label_and_sample_proposals(proposals, targets)
        boxes, is_real = padded([one.proposal_boxes.tensor for one in proposals])  # (N, R, 4)
        gt_boxes, is_object = padded([one.gt_boxes.tensor for one in targets])  # (N, G, 4)
        gt_classes, _ = padded([one.gt_classes for one in targets])
        if self.proposal_append_gt:
            boxes, is_real = torch.cat([boxes, gt_boxes], 1), torch.cat([is_real, is_object], 1)
        matches, labels = match(gt_boxes, boxes, self.proposal_matcher)
        classes = torch.where(labels == 0, self.num_classes, gt_classes.gather(1, matches))
        classes = torch.where((labels == -1) | ~is_real, -1, classes)
        is_background = classes == self.num_classes
        index, is_sampled = sample(
            (classes >= 0) & ~is_background,
            is_background,
            self.batch_size_per_image,
            self.positive_fraction,
        )
        matches = matches.gather(1, index)
        classes = torch.where(is_sampled, classes.gather(1, index), -1)
        boxes, gt_boxes = (
            of.gather(1, at[..., None].expand(-1, -1, 4))
            for of, at in ((boxes, index), (gt_boxes, matches))
        )
        sampled = []
        for n, target in enumerate(targets):
            one = Instances(
                target.image_size, proposal_boxes=Boxes(boxes[n]), gt_boxes=Boxes(gt_boxes[n])
            )
            one.gt_classes = classes[n]
            for name, value in target.get_fields().items():  # masks, say
                if name.startswith("gt_") and not one.has(name) and len(target):
                    one.set(name, value[matches[n]])
            sampled.append(one)
        return sampled


@ROI_HEADS_REGISTRY.register()
class SoftNMSRes5ROIHeads(BatchHeads, Res5ROIHeads):
    """Box head: the last stage of the ResNet. The paper's size, which uses all of its weights."""

    def predictions(self, features: dict[str, Tensor], boxes: list[Boxes]) -> tuple[Tensor, Tensor]:
        """Logits and deltas of the boxes of all images."""
        maps = self._shared_roi_transform([features[name] for name in self.in_features], boxes)
        return self.box_predictor(maps.mean(dim=[2, 3]))

    @configurable
    def __init__(self, **kwargs):
        """Arguments as for `Res5ROIHeads`; `res5` may be a list of blocks."""
        super().__init__(**kwargs)

    @classmethod
    def from_config(cls, cfg, input_shape):
        parts = super().from_config(cfg, input_shape)
        stride = input_shape[parts["in_features"][0]].stride
        parts["pooler"] = pooler_of(cfg, stride)
        channels = parts["res5"][-1].out_channels
        parts["box_predictor"] = SoftNMSOutputLayers(cfg, ShapeSpec(channels=channels))
        return parts


@ROI_HEADS_REGISTRY.register()
class SoftNMSROIHeads(BatchHeads, StandardROIHeads):
    """Box head: fully connected layers. For small backbones without a pretrained last stage."""

    def predictions(self, features: dict[str, Tensor], boxes: list[Boxes]) -> tuple[Tensor, Tensor]:
        """Logits and deltas of the boxes of all images."""
        pooled = self.box_pooler([features[name] for name in self.box_in_features], boxes)
        return self.box_predictor(self.box_head(pooled))

    @configurable
    def __init__(self, **kwargs):
        """Arguments as for `StandardROIHeads`."""
        super().__init__(**kwargs)

    @classmethod
    def _init_box_head(cls, cfg, input_shape):
        parts = super()._init_box_head(cfg, input_shape)
        stride = input_shape[parts["box_in_features"][0]].stride
        parts["box_pooler"] = pooler_of(cfg, stride)
        parts["box_predictor"] = SoftNMSOutputLayers(cfg, parts["box_head"].output_shape)
        return parts


RES5_HEADS = (Res5ROIHeads, SoftNMSRes5ROIHeads)  # other subclasses use res5 in another way
