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
        # nonzero is the first look at a value: what is no candidate costs nothing more.
        proposal, classes = (scores[:, :-1] > self.test_score_thresh).nonzero().unbind(1)
        boxes, scores = self._candidates(boxes, scores, proposal, classes, image_size)
        keep, decayed = soft_nms(
            boxes,
            scores,
            classes,
            max_detections=self.test_topk_per_image if self.test_topk_per_image >= 0 else None,
            **self._decay(),
        )
        found = self._instances(boxes[keep], decayed, classes[keep], image_size)
        return found, proposal[keep]

    def _inference_all_images(
        self, boxes: list[Tensor], scores: list[Tensor], image_sizes: list[tuple[int, int]]
    ) -> list[tuple[Instances, Tensor]]:
        """Same as `_inference_single_image` image by image; the device waits once, at the end."""
        if not boxes:
            return []
        images = []
        for one_boxes, one_scores, image_size in zip(boxes, scores, image_sizes, strict=True):
            everything = torch.ones_like(one_scores[:, :-1], dtype=torch.int64)
            proposal = (everything.cumsum(dim=0) - 1).reshape(-1)
            classes = (everything.cumsum(dim=1) - 1).reshape(-1)
            candidates = self._candidates(one_boxes, one_scores, proposal, classes, image_size)
            images.append((*candidates, classes))
        padded_boxes, padded_scores, padded_classes = (
            pad_sequence(list(part), batch_first=True, padding_value=-1)
            for part in zip(*images, strict=True)
        )
        wanted, most = self.test_topk_per_image, padded_scores.shape[1]
        keep, decayed = soft_nms_padded(
            padded_boxes,
            padded_scores,
            padded_classes,
            max_detections=min(wanted, most) if wanted >= 0 else most,
            **self._decay(),
        )
        counts = (decayed >= 0).sum(dim=1).tolist()
        results = []
        for index, (count, image_size) in enumerate(zip(counts, image_sizes, strict=True)):
            kept, (boxes, _, classes) = keep[index, :count], images[index]
            found = self._instances(boxes[kept], decayed[index, :count], classes[kept], image_size)
            results.append((found, kept // self.num_classes))
        return results

    def _decay(self) -> dict[str, str | float]:
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
        sides = zip(boxes.unbind(1), (width, height, width, height), strict=True)
        clipped = torch.stack([side.clamp(0, limit) for side, limit in sides], dim=1)
        return clipped, torch.where(is_candidate, scores, -1.0)

    def _instances(
        self, boxes: Tensor, scores: Tensor, classes: Tensor, image_size: tuple[int, int]
    ) -> Instances:
        result = Instances(image_size)
        result.pred_boxes = Boxes(boxes)
        result.scores = scores
        result.pred_classes = classes
        return result
