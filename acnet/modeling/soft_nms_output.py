"""The last layers of the detector: class scores and boxes, thinned out by Soft-NMS."""

from detectron2.config import configurable
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from torch import Tensor

from acnet.layers import soft_nms

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
        results = [
            self._inference_single_image(boxes, scores, one.image_size)
            for boxes, scores, one in zip(
                self.predict_boxes(predictions, proposals),
                self.predict_probs(predictions, proposals),
                proposals,
                strict=True,
            )
        ]
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
        scores = scores[:, :-1]
        num_proposals, num_classes = scores.shape
        boxes = boxes.reshape(num_proposals, boxes.shape[1] // 4, 4)
        boxes = boxes.expand(num_proposals, num_classes, 4)  # a no-op unless class-agnostic
        finite = boxes.isfinite().all(dim=2) & scores.isfinite()
        proposal_index, classes = ((scores > self.test_score_thresh) & finite).nonzero().unbind(1)
        candidates = Boxes(boxes[proposal_index, classes])
        candidates.clip(image_size)
        keep, decayed = soft_nms(
            candidates.tensor,
            scores[proposal_index, classes],
            classes,
            method=self.soft_nms_method,
            iou_threshold=self.test_nms_thresh,
            sigma=self.soft_nms_sigma,
            score_floor=self.score_floor,
            max_detections=self.test_topk_per_image if self.test_topk_per_image >= 0 else None,
        )
        result = Instances(image_size)
        result.pred_boxes = candidates[keep]
        result.scores = decayed
        result.pred_classes = classes[keep]
        return result, proposal_index[keep]
