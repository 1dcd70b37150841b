"""The last layers of the detector: class scores and boxes, thinned out by Soft-NMS."""

import torch
from detectron2.config import configurable
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from acnet.layers import soft_nms, soft_nms_padded

from .full_precision import float32_region

__all__ = ["SoftNMSOutputLayers"]


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
        test_score_thresh: float = 1e-3,
        test_nms_thresh: float = 0.3,
        **kwargs,
    ):
        """
        Args:
            input_shape: of the box features.
            soft_nms_method, soft_nms_sigma, score_floor: see `acnet.layers.soft_nms`.
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

    @classmethod
    def from_config(cls, cfg, input_shape):
        soft_nms_cfg = cfg.MODEL.ACNET.SOFT_NMS
        return {
            **super().from_config(cfg, input_shape),
            "soft_nms_method": soft_nms_cfg.METHOD,
            "soft_nms_sigma": soft_nms_cfg.SIGMA,
            "score_floor": soft_nms_cfg.SCORE_FLOOR,
        }

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Same as `FastRCNNOutputLayers.forward`, in float32 under any autocast."""
        with float32_region(x):
            return super().forward(x.float())

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
        boxes, scores, classes = self._candidates(boxes, scores, image_size)
        # nonzero is the first look at a value: what is no candidate is not decayed at all.
        index = (scores > self.test_score_thresh).nonzero().squeeze(1)
        keep, decayed = soft_nms(
            boxes[index],
            scores[index],
            classes[index],
            max_detections=self.test_topk_per_image if self.test_topk_per_image >= 0 else None,
            **self._decay(),
        )
        return self._instances(boxes, classes, index[keep], decayed, image_size)

    def _inference_all_images(
        self, boxes: list[Tensor], scores: list[Tensor], image_sizes: list[tuple[int, int]]
    ) -> list[tuple[Instances, Tensor]]:
        """Same as `_inference_single_image` image by image; the device waits once, at the end."""
        images = [self._candidates(*one) for one in zip(boxes, scores, image_sizes, strict=True)]
        if not images:
            return []
        most = max(len(scores) for _, scores, _ in images)
        padded_boxes, padded_scores, padded_classes = (
            pad_sequence([image[part] for image in images], batch_first=True, padding_value=-1)
            for part in range(3)
        )
        is_candidate = padded_scores > self.test_score_thresh
        wanted = self.test_topk_per_image if self.test_topk_per_image >= 0 else most
        keep, decayed = soft_nms_padded(
            padded_boxes,
            torch.where(is_candidate, padded_scores, -1.0),
            padded_classes,
            max_detections=min(wanted, most),
            **self._decay(),
        )
        counts = (decayed >= 0).sum(dim=1).tolist()
        return [
            self._instances(boxes, classes, kept[:count], one[:count], size)
            for (boxes, _, classes), kept, one, count, size in zip(
                images, keep, decayed, counts, image_sizes, strict=True
            )
        ]

    def _decay(self) -> dict[str, str | float]:
        return {
            "method": self.soft_nms_method,
            "iou_threshold": self.test_nms_thresh,
            "sigma": self.soft_nms_sigma,
            "score_floor": self.score_floor,
        }

    def _candidates(
        self, boxes: Tensor, scores: Tensor, image_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(R * classes, 4) clipped boxes, their scores, -1 where one is not finite, and classes."""
        scores = scores[:, :-1]
        num_proposals, num_classes = scores.shape
        boxes = boxes.reshape(num_proposals, boxes.shape[1] // 4, 4)
        boxes = boxes.expand(num_proposals, num_classes, 4)  # a no-op unless class-agnostic
        finite = boxes.isfinite().all(dim=2) & scores.isfinite()
        height, width = image_size
        x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
        clipped = torch.stack([x, y], dim=-1)  # (..., 2, 2): start and end, x and y
        classes = torch.arange(num_classes, device=scores.device).expand(num_proposals, num_classes)
        scores = torch.where(finite, scores, -1.0)
        return clipped.reshape(-1, 4), scores.reshape(-1), classes.reshape(-1)

    def _instances(
        self,
        boxes: Tensor,
        classes: Tensor,
        keep: Tensor,
        decayed: Tensor,
        image_size: tuple[int, int],
    ) -> tuple[Instances, Tensor]:
        """The detections `keep` of all candidates, and the proposal of each."""
        result = Instances(image_size)
        result.pred_boxes = Boxes(boxes[keep])
        result.scores = decayed
        result.pred_classes = classes[keep]
        return result, torch.div(keep, self.num_classes, rounding_mode="floor")
