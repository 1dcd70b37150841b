"""SSD, and what every detector of the one-stage family has of it.

Default boxes, their matching with hard negatives, the multi-box loss, and NMS class by class.

Shape shorthand:
    B: images
    A: default boxes of all levels
    N: objects of an image
    K: classes; class K is the background, as in detectron2
"""

import math

import torch
import torch.nn.functional as F
from detectron2.layers import batched_nms
from detectron2.modeling import META_ARCH_REGISTRY, Backbone
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.meta_arch.dense_detector import DenseDetector, permute_to_N_HWA_K
from detectron2.structures import Boxes, ImageList, Instances, pairwise_iou
from torch import Tensor, nn

from acnet.modeling.poolers import autocast_off

from .vgg import xavier

__all__ = ["SSD", "DefaultBoxes", "SSDHead", "match_boxes", "multi_box_loss"]

IGNORED = -1  # the class of a default box that has no part in the loss
_BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # one over SSD's variances, 0.1 and 0.2


class DefaultBoxes(DefaultAnchorGenerator):
    """`DefaultAnchorGenerator` with the shapes of SSD.

    A level of size s, whose next one has size t, has squares of sides s and sqrt(s * t), and for
    each ratio r a box s * sqrt(r) wide and s / sqrt(r) high, and the same one upright.
    """

    def __init__(
        self,
        *,
        sizes: list[list[float]],
        aspect_ratios: list[list[float]],
        strides: list[float],
        max_px: float = math.inf,
    ):
        """
        Args:
            sizes: for each level s and t, in pixels.
            aspect_ratios: for each level, those above 1.
            strides: of each level.
            max_px: longest side of a box: that of the picture.
        """
        self.max_px = max_px
        super().__init__(sizes=sizes, aspect_ratios=aspect_ratios, strides=strides, offset=0.5)

    def generate_cell_anchors(self, sizes: list[float], aspect_ratios: list[float]) -> Tensor:
        """Return the (boxes of a cell, 4) corners around (0, 0)."""
        size, next_size = sizes
        sides = [(size, size), (math.sqrt(size * next_size),) * 2]
        for ratio in aspect_ratios:
            long, short = size * math.sqrt(ratio), size / math.sqrt(ratio)
            sides += [(long, short), (short, long)]
        half = torch.tensor(sides).clamp(max=self.max_px) / 2
        return torch.cat([-half, half], dim=1)


class SSDHead(nn.Module):
    """A 3x3 convolution for the scores of each level and one for its boxes, in float32."""

    def __init__(self, *, in_channels: list[int], num_anchors: list[int], num_classes: int):
        """
        Args:
            in_channels: of each level.
            num_anchors: default boxes of a cell of each level.
            num_classes: K, without the background.
        """
        super().__init__()
        pairs = list(zip(in_channels, num_anchors, strict=True))
        self.scores = nn.ModuleList(
            nn.Conv2d(channels, count * (num_classes + 1), 3, padding=1)
            for channels, count in pairs
        )
        self.boxes = nn.ModuleList(
            nn.Conv2d(channels, count * 4, 3, padding=1) for channels, count in pairs
        )
        xavier(self)

    def forward(self, features: list[Tensor]) -> list[list[Tensor]]:
        """Return the logits of the levels, and their deltas, as `DenseDetector` wants them."""
        with autocast_off(features[0]):
            features = [level.float() for level in features]
            return [
                [layer(level) for layer, level in zip(layers, features, strict=True)]
                for layers in (self.scores, self.boxes)
            ]


@META_ARCH_REGISTRY.register()
class SSD(DenseDetector):
    """A detector that scores and shifts the default boxes of all levels at once.

    RFBNet and DSSD are this with other levels and another head; DES and RefineDet add to its loss.

    Reference: Liu et al., SSD, ECCV 2016 ([12] in the paper).
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        head: nn.Module,
        default_boxes: DefaultAnchorGenerator,
        num_classes: int,
        pixel_mean: list[float],
        pixel_std: list[float],
        input_format: str = "RGB",
        iou_threshold: float = 0.5,
        negatives_per_positive: float = 3.0,
        test_score_thresh: float = 0.01,
        test_nms_thresh: float = 0.45,
        test_topk_per_class: int = 400,
        test_topk_per_image: int = 200,
    ):
        """
        Args:
            backbone: gives the levels, which are read from the finest to the coarsest.
            head: gives logits and deltas of the levels.
            default_boxes: has the strides of these levels.
            num_classes: K.
            pixel_mean, pixel_std: of the three channels, in the order of `input_format`.
            input_format: "RGB" or "BGR".
            iou_threshold: a default box has the object that it overlaps at least so much.
            negatives_per_positive: so many of an image's background boxes, the worst, have a part
                in the loss for each box with an object.
            test_score_thresh: detections are above it.
            test_nms_thresh: overlap from which the weaker detection of a class is dropped.
            test_topk_per_class, test_topk_per_image: most boxes before NMS, and after it.
        """
        super().__init__(backbone, head, pixel_mean=pixel_mean, pixel_std=pixel_std)
        self.default_boxes = default_boxes
        self.num_classes = num_classes
        self.input_format = input_format
        self.box2box_transform = Box2BoxTransform(weights=_BOX_WEIGHTS)
        self.iou_threshold = iou_threshold
        self.negatives_per_positive = negatives_per_positive
        self.test_score_thresh = test_score_thresh
        self.test_nms_thresh = test_nms_thresh
        self.test_topk_per_class = test_topk_per_class
        self.test_topk_per_image = test_topk_per_image

    def forward_training(
        self,
        images: ImageList,
        features: list[Tensor],
        predictions: list[list[Tensor]],
        gt_instances: list[Instances],
    ) -> dict[str, Tensor]:
        """Return the losses of a batch, whose pictures may be without objects."""
        logits, deltas = self.flat(predictions)
        boxes = self.boxes_of(features).expand(len(logits), -1, -1)
        classes, targets = self.label(boxes, gt_instances)
        loss_cls, loss_box_reg = multi_box_loss(
            logits, deltas, classes, targets, negatives_per_positive=self.negatives_per_positive
        )
        return {"loss_cls": loss_cls, "loss_box_reg": loss_box_reg}

    def forward_inference(
        self, images: ImageList, features: list[Tensor], predictions: list[list[Tensor]]
    ) -> list[Instances]:
        """Return the detections of each image, best first, in the pixels that the model saw."""
        logits, deltas = self.flat(predictions)
        scores = logits.softmax(dim=2)[..., :-1]
        boxes = self.shift(deltas, self.boxes_of(features).expand(len(logits), -1, -1))
        return [
            self._detections(*one) for one in zip(boxes, scores, images.image_sizes, strict=True)
        ]

    def boxes_of(self, features: list[Tensor]) -> Tensor:
        """Return the (A, 4) default boxes of all levels."""
        return Boxes.cat(self.default_boxes(features)).tensor

    def shift(self, deltas: Tensor, boxes: Tensor) -> Tensor:
        """Apply (B, A, 4) deltas to (B, A, 4) boxes."""
        flat = self.box2box_transform.apply_deltas(deltas.reshape(-1, 4), boxes.reshape(-1, 4))
        return flat.view_as(deltas)

    def label(self, boxes: Tensor, gt_instances: list[Instances]) -> tuple[Tensor, Tensor]:
        """Say which class each box is to have, and how it is to be shifted.

        Args:
            boxes: (B, A, 4).
            gt_instances: objects of the images.

        Returns:
            (B, A) classes, and the deltas (boxes with an object, 4) image by image.
        """
        classes, targets = [], []
        for of_image, gt in zip(boxes, gt_instances, strict=True):
            gt = gt[gt.gt_boxes.nonempty()]
            matches = match_boxes(of_image, gt.gt_boxes.tensor, self.iou_threshold)
            has_object = matches >= 0
            labels = torch.full_like(matches, self.num_classes)
            labels[has_object] = gt.gt_classes[matches[has_object]]
            classes.append(labels)
            matched = gt.gt_boxes.tensor[matches[has_object]]
            targets.append(self.box2box_transform.get_deltas(of_image[has_object], matched))
        return torch.stack(classes), torch.cat(targets)

    def flat(self, predictions: list[list[Tensor]], num_classes: int = 0) -> tuple[Tensor, Tensor]:
        """Return logits (B, A, classes + 1) and deltas (B, A, 4) of a head's maps, in float32.

        Args:
            predictions: for each level a map of logits, then for each one of deltas.
            num_classes: K if not given.
        """
        logits, deltas = (
            torch.cat([permute_to_N_HWA_K(level, values) for level in levels], dim=1).float()
            for levels, values in zip(
                predictions, ((num_classes or self.num_classes) + 1, 4), strict=True
            )
        )
        return logits, deltas

    def _detections(self, boxes: Tensor, scores: Tensor, image_hw: tuple[int, int]) -> Instances:
        """Thin out the (A, 4) boxes of an image, by (A, K) scores."""
        scores, indices = scores.topk(min(self.test_topk_per_class, len(scores)), dim=0)
        rank, classes = (scores > self.test_score_thresh).nonzero().unbind(1)
        scores, found = scores[rank, classes], Boxes(boxes[indices[rank, classes]])
        found.clip(image_hw)
        keep = batched_nms(found.tensor, scores, classes, self.test_nms_thresh)
        keep = keep[: self.test_topk_per_image]
        return Instances(
            image_hw, pred_boxes=found[keep], scores=scores[keep], pred_classes=classes[keep]
        )


def match_boxes(boxes: Tensor, gt_boxes: Tensor, iou_threshold: float) -> Tensor:
    """Give each box the object that it overlaps most, and each object at least its best box.

    Args:
        boxes: (A, 4).
        gt_boxes: (N, 4).
        iou_threshold: a box that overlaps no object so much has none.

    Returns:
        (A,) the index of the object, -1 for none.
    """
    if len(gt_boxes) == 0:
        return torch.full((len(boxes),), -1, device=boxes.device)
    ious = pairwise_iou(Boxes(gt_boxes), Boxes(boxes))  # (N, A)
    best, matches = ious.max(dim=0)
    matches[best < iou_threshold] = -1
    for _ in gt_boxes:  # the best pair of those that are left, since two objects may want one box
        pair = ious.argmax().reshape(1)
        one, box = pair // len(boxes), pair % len(boxes)
        matches[box] = torch.where(ious[one, box] > 0, one, matches[box])
        ious[one], ious[:, box] = -1, -1
    return matches


def multi_box_loss(
    logits: Tensor,
    deltas: Tensor,
    classes: Tensor,
    target_deltas: Tensor,
    *,
    negatives_per_positive: float,
) -> tuple[Tensor, Tensor]:
    """Return the loss of the scores and that of the boxes, both divided by the boxes with objects.

    Args:
        logits: (B, A, K + 1), background last.
        deltas: (B, A, 4).
        classes: (B, A), K for the background and `IGNORED` for boxes that do not count.
        target_deltas: (boxes with an object, 4).
        negatives_per_positive: the background boxes of an image that count: those of the largest
            loss, so many for each box with an object. An image without objects has none.
    """
    background = logits.shape[2] - 1
    losses = F.cross_entropy(
        logits.transpose(1, 2), classes, ignore_index=IGNORED, reduction="none"
    )  # (B, A)
    is_background = classes == background
    has_object = (classes >= 0) & ~is_background
    order = losses.detach().masked_fill(~is_background, -math.inf).argsort(1, descending=True)
    wanted = negatives_per_positive * has_object.sum(dim=1, keepdim=True)
    is_hard = is_background & (order.argsort(1) < wanted)
    loss_box_reg = F.smooth_l1_loss(deltas[has_object], target_deltas, reduction="sum")
    count = has_object.sum().clamp(min=1)
    return losses[has_object | is_hard].sum() / count, loss_box_reg / count
