"""RPN and ROI heads of detectron2 with float32 boxes and scores, and Soft-NMS at their end.

For LazyConfig these are detectron2's heads with the parts of ours put in. The classes of ROI heads
exist for yaml users, whose heads build their own parts.

bfloat16 keeps 8 bits: at x = 640 its grid is 4 pixels wide, and thousands of scores become equal.
detectron2 hands boxes to RoIAlign in the precision of the features, and ranks proposals by logits
in the precision of autocast. Both cost little in float32.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from detectron2.config import configurable
from detectron2.layers import ROIAlign, ShapeSpec
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.proposal_generator.rpn import RPN_HEAD_REGISTRY, StandardRPNHead
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, Res5ROIHeads, StandardROIHeads
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn

from acnet.layers import roi_align, soft_nms, soft_nms_of_images

MIN_SIDE = 1e-3  # of a detection, in pixels; detectron2 drops empty ones after resizing
_NORMALIZERS = ("sampled", "positives")

__all__ = [
    "Float32ROIPooler",
    "Float32RPNHead",
    "SoftNMSOutputLayers",
    "SoftNMSROIHeads",
    "SoftNMSRes5ROIHeads",
    "float32_region",
]


def float32_region(tensor: Tensor) -> AbstractContextManager:
    """A context in which autocast is off for the device of the tensor."""
    if not torch.amp.is_autocast_available(tensor.device.type):
        return nullcontext()  # torch's meta device, on which sizes are counted
    return torch.autocast(device_type=tensor.device.type, enabled=False)


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


def positives_factor(is_positive: Tensor, sampled: int) -> Tensor:
    """Return what turns detectron2's loss of boxes, divided by `sampled`, into that of Eq. (6)."""
    return sampled / is_positive.sum().clamp(min=1)  # Eq. (6)


def sent_along(values: list, like: Tensor) -> Tensor:
    """A tensor of host values beside another, with its type; a GPU's host does not wait for it."""
    tensor = torch.tensor(values, dtype=like.dtype, pin_memory=like.is_cuda)
    return tensor.to(like.device, non_blocking=True)


class Float32ROIPooler(ROIPooler):
    """`ROIPooler` that reads boxes in float32, whatever the precision of the features.

    On a CPU it pools by matrix products, which take a fifth of the time of torchvision's loops.
    """

    def __init__(self, *args, **kwargs):
        """Arguments as for `ROIPooler`."""
        super().__init__(*args, **kwargs)
        self.level_poolers = nn.ModuleList(
            _ROIAlign(one.output_size, one.spatial_scale, one.sampling_ratio, one.aligned)
            if isinstance(one, ROIAlign)
            else one
            for one in self.level_poolers
        )

    def forward(self, x: list[Tensor], box_lists: list[Boxes]) -> Tensor:
        """Same as `ROIPooler.forward`; the result has the precision of the features."""
        with float32_region(x[0]):
            pooled = super().forward([features.float() for features in x], box_lists)
        return pooled.to(x[0].dtype)


class _ROIAlign(ROIAlign):
    """`ROIAlign` by whichever form is faster: the same result."""

    def forward(self, features: Tensor, boxes: Tensor) -> Tensor:
        """Same as `ROIAlign.forward`."""
        # Measured on CPUs only (docs/lab/performance_training.md). A GPU would wait for the boxes,
        # and has torchvision's kernel; on the meta device there are no values to look at.
        if features.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(features, boxes)
        return roi_align(
            features, boxes, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned
        )


@RPN_HEAD_REGISTRY.register()
class Float32RPNHead(StandardRPNHead):
    """`StandardRPNHead` whose hidden convolution follows autocast and whose predictions do not."""

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Same as `StandardRPNHead.forward`, in float32."""
        logits, deltas = [], []
        for level in features:
            hidden = self.conv(level)
            with float32_region(hidden):
                logits.append(self.objectness_logits(hidden.float()))
                deltas.append(self.anchor_deltas(hidden.float()))
        return logits, deltas


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
            input_shape: of the box features.
            soft_nms_method, soft_nms_sigma, score_floor: see `acnet.layers.soft_nms`.
            box_normalizer: what the boxes' loss is divided by, see `check_normalizer`.
            test_score_thresh: boxes not above it are no candidates.
            test_nms_thresh: overlap above which the linear decay acts.
            kwargs: as for `FastRCNNOutputLayers`.
        """
        # NOT IN PAPER: method, thresholds and floor. Cutting decayed scores at the score threshold
        # of a detector (0.05) would undo what Soft-NMS is for, so the floor is a value of its own.
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
        with float32_region(x):
            return super().forward(x.float())

    def box_reg_loss(
        self, proposal_boxes: Tensor, gt_boxes: Tensor, pred_deltas: Tensor, gt_classes: Tensor
    ) -> Tensor:
        """Same as `FastRCNNOutputLayers.box_reg_loss`, by the normalizer of one's choice."""
        loss = super().box_reg_loss(proposal_boxes, gt_boxes, pred_deltas, gt_classes)
        if self.box_normalizer == "sampled":
            return loss
        is_positive = (gt_classes >= 0) & (gt_classes < self.num_classes)
        return loss * positives_factor(is_positive, max(1, gt_classes.numel()))

    def inference(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> tuple[list[Instances], list[Tensor]]:
        """
        Args:
            predictions: what `forward` returned.
            proposals: for each image the boxes that the predictions were made for.

        Returns:
            For each image the detections, best first, and the index of the proposal of each.
        """
        boxes = self.predict_boxes(predictions, proposals)
        scores = self.predict_probs(predictions, proposals)
        sizes = [one.image_size for one in proposals]
        if predictions[0].device.type == "cpu":
            results = [
                self._inference_single_image(*one) for one in zip(boxes, scores, sizes, strict=True)
            ]
        else:
            results = self._inference_all_images(boxes, scores, sizes)
        return [instances for instances, _ in results], [kept for _, kept in results]

    def _inference_single_image(
        self, boxes: Tensor, scores: Tensor, image_size: tuple[int, int]
    ) -> tuple[Instances, Tensor]:
        """
        Args:
            boxes: (R, 4) or (R, 4 * classes).
            scores: (R, classes + 1), background last.
            image_size: height and width.
        """
        # nonzero is the first look at a value: what is no candidate costs nothing more.
        proposal, classes = (scores[:, :-1] > self.test_score_thresh).nonzero().unbind(1)
        boxes, scores = self._candidates(boxes, scores, proposal, classes, image_size)
        keep, decayed = soft_nms(
            boxes,
            scores,
            classes,
            max_detections=self.test_topk_per_image if self.test_topk_per_image >= 0 else None,
            **self.decay(),
        )
        found = self._instances(boxes[keep], decayed, classes[keep], image_size)
        return found, proposal[keep]

    def _inference_all_images(
        self, boxes: list[Tensor], scores: list[Tensor], image_sizes: list[tuple[int, int]]
    ) -> list[tuple[Instances, Tensor]]:
        """Same as `_inference_single_image` image by image; the device waits once, for all."""
        if not boxes:
            return []
        images = []
        for one_boxes, one_scores, image_size in zip(boxes, scores, image_sizes, strict=True):
            everything = torch.ones_like(one_scores[:, :-1], dtype=torch.int64)
            proposal = (everything.cumsum(dim=0) - 1).reshape(-1)
            classes = (everything.cumsum(dim=1) - 1).reshape(-1)
            candidates = self._candidates(one_boxes, one_scores, proposal, classes, image_size)
            images.append((*candidates, classes))
        most = self.test_topk_per_image
        found = soft_nms_of_images(
            images, max_detections=most if most >= 0 else None, **self.decay()
        )
        return [
            (self._instances(boxes[kept], decayed, classes[kept], size), kept // self.num_classes)
            for (boxes, _, classes), (kept, decayed), size in zip(
                images, found, image_sizes, strict=True
            )
        ]

    def decay(self) -> dict[str, str | float]:
        """Arguments of `soft_nms` that say how scores fall."""
        return {
            "method": self.soft_nms_method,
            "iou_threshold": self.test_nms_thresh,
            "sigma": self.soft_nms_sigma,
            "score_floor": self.score_floor,
        }

    def _candidates(
        self,
        boxes: Tensor,
        scores: Tensor,
        proposal: Tensor,
        classes: Tensor,
        image_size: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        """
        Args:
            boxes, scores: as for `_inference_single_image`.
            proposal, classes: (N,) which of the R * classes boxes.
            image_size: height and width.

        Returns:
            Clipped boxes (N, 4) and their scores (N,), -1 where one is no candidate.
        """
        count, num_classes = len(boxes), scores.shape[1] - 1
        boxes = boxes.reshape(count, boxes.shape[1] // 4, 4)
        boxes = boxes.expand(count, num_classes, 4)  # a no-op unless class-agnostic
        boxes, scores = boxes[proposal, classes], scores[proposal, classes]
        is_candidate = boxes.isfinite().all(dim=1) & scores.isfinite()
        is_candidate &= scores > self.test_score_thresh
        height, width = image_size
        clipped = boxes.clamp(min=0).minimum(sent_along([width, height] * 2, boxes))
        is_candidate &= (clipped[:, 2:] - clipped[:, :2] > MIN_SIDE).all(dim=1)
        return clipped, torch.where(is_candidate, scores, -1.0)

    def _instances(
        self, boxes: Tensor, scores: Tensor, classes: Tensor, image_size: tuple[int, int]
    ) -> Instances:
        result = Instances(image_size)
        result.pred_boxes = Boxes(boxes)
        result.scores = scores
        result.pred_classes = classes
        return result


@ROI_HEADS_REGISTRY.register()
class SoftNMSRes5ROIHeads(Res5ROIHeads):
    """Box head: the last stage of the ResNet. The paper's size, which uses all of its weights."""

    @configurable
    def __init__(self, **kwargs):
        """Arguments as for `Res5ROIHeads`; `res5` may be a list of blocks."""
        super().__init__(**kwargs)

    @classmethod
    def from_config(cls, cfg, input_shape):
        parts = super().from_config(cfg, input_shape)
        stride = input_shape[parts["in_features"][0]].stride
        parts["pooler"] = _pooler(cfg, stride)
        channels = parts["res5"][-1].out_channels
        parts["box_predictor"] = SoftNMSOutputLayers(cfg, ShapeSpec(channels=channels))
        return parts


@ROI_HEADS_REGISTRY.register()
class SoftNMSROIHeads(StandardROIHeads):
    """Box head: fully connected layers. For small backbones without a pretrained last stage."""

    @configurable
    def __init__(self, **kwargs):
        """Arguments as for `StandardROIHeads`."""
        super().__init__(**kwargs)

    @classmethod
    def _init_box_head(cls, cfg, input_shape):
        parts = super()._init_box_head(cfg, input_shape)
        stride = input_shape[parts["box_in_features"][0]].stride
        parts["box_pooler"] = _pooler(cfg, stride)
        parts["box_predictor"] = SoftNMSOutputLayers(cfg, parts["box_head"].output_shape)
        return parts


def _pooler(cfg, stride: int) -> Float32ROIPooler:
    return Float32ROIPooler(
        output_size=cfg.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION,
        scales=(1.0 / stride,),
        sampling_ratio=cfg.MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO,
        pooler_type=cfg.MODEL.ROI_BOX_HEAD.POOLER_TYPE,
    )
