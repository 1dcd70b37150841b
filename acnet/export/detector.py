"""A whole detector in which every tensor has a fixed size, so that it can leave Python.

Shape shorthand:
    B: tiles of a batch
    T: side of a tile in pixels
    P: proposals of a tile
    C: classes
    N: places for detections of a tile: P * C before Soft-NMS, the model's most detections after it
"""

from typing import Any

import torch
from detectron2.modeling.meta_arch import GeneralizedRCNN
from detectron2.modeling.roi_heads import Res5ROIHeads, ROIHeads, StandardROIHeads
from torch import Tensor, nn

from acnet.errors import UserError
from acnet.modeling import SoftNMSOutputLayers

from .boxes import centred_in, clip, decode
from .nms import FixedNMS
from .proposals import FixedProposals
from .soft_nms_loop import SoftNMSLoop

__all__ = ["FixedSizeDetector"]


class FixedSizeDetector(nn.Module):
    """Inference of an `ACNet`, built from its own parts, on tiles of one size.

    Where detectron2 drops boxes, here they lose their score: -1 marks a place without a detection.
    """

    def __init__(
        self, model: GeneralizedRCNN, *, tile_px: int, nms: FixedNMS, soft_nms_inside: bool
    ):
        """
        Args:
            model: in evaluation mode.
            tile_px: T.
            nms: the form that the target of the export knows.
            soft_nms_inside: whether Soft-NMS is a part, or left to whoever runs the export.

        Raises:
            UserError: the model has parts that this does not know, or the size does not suit it.
        """
        super().__init__()
        _check(model, tile_px)
        self.backbone = model.backbone
        self.feature = model.proposal_generator.in_features[0]
        self.channels_last = getattr(model, "channels_last", False)
        self.register_buffer("pixel_mean", model.pixel_mean)
        self.register_buffer("pixel_std", model.pixel_std)
        stride = model.backbone.output_shape()[self.feature].stride
        grid_hw = (tile_px // stride, tile_px // stride)
        self.proposals = FixedProposals(model.proposal_generator, grid_hw, nms)
        self.detections = _FixedDetections(model.roi_heads)
        self.decay = _decay(model.roi_heads.box_predictor)
        num_places = self.proposals.num_after * model.roi_heads.num_classes
        self.soft_nms = SoftNMSLoop(**_limited(self.decay, num_places)) if soft_nms_inside else None

    def forward(
        self, images: Tensor, sizes_hw: Tensor, parts_xyxy: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """
        Args:
            images: (B, 3, T, T) uint8, in the channel order of the model.
            sizes_hw: (B, 2) float32: what of each tile is picture; the rest, to the right and
                below, is not looked at.
            parts_xyxy: (B, 4) float32: what each tile answers for; proposals whose centre lies
                elsewhere are left out.

        Returns:
            Boxes (B, N, 4) in pixels of the tile, scores (B, N) and classes (B, N) int64. With
            Soft-NMS inside they are in the order of picking.
        """
        features = self.backbone(self._prepare(images, sizes_hw))[self.feature]
        proposals, valid = self.proposals(features, sizes_hw)
        valid = valid & centred_in(proposals, parts_xyxy)
        boxes, scores = self.detections(features, proposals, valid, sizes_hw)
        num_classes = scores.shape[2]
        classes = torch.arange(num_classes, device=scores.device).repeat(scores.shape[1])
        boxes, scores = boxes.flatten(1, 2), scores.flatten(1, 2)
        if self.soft_nms is None:
            return boxes, scores, classes.expand(scores.shape)
        return self.soft_nms(boxes, scores, classes)

    def _prepare(self, images: Tensor, sizes_hw: Tensor) -> Tensor:
        """Normalise, then blank the padding: its order in `GeneralizedRCNN.preprocess_image`."""
        normalised = (images - self.pixel_mean) / self.pixel_std
        sizes = sizes_hw[:, :, None, None]  # (B, 2, 1, 1)
        rows = torch.arange(images.shape[2], device=images.device)[:, None] < sizes[:, 0:1]
        columns = torch.arange(images.shape[3], device=images.device) < sizes[:, 1:2]
        blanked = torch.where(rows & columns, normalised, torch.zeros_like(normalised))
        if self.channels_last:
            return blanked.contiguous(memory_format=torch.channels_last)
        return blanked


class _FixedDetections(nn.Module):
    """ROI heads up to the scores of every proposal and class."""

    def __init__(self, heads: ROIHeads):
        super().__init__()
        is_res5 = isinstance(heads, Res5ROIHeads)
        pooler = heads.pooler if is_res5 else heads.box_pooler
        (self.pooler,) = pooler.level_poolers
        self.head = heads.res5 if is_res5 else heads.box_head
        self.is_res5 = is_res5
        self.predictor = heads.box_predictor
        transform = heads.box_predictor.box2box_transform
        self.transform = (tuple(transform.weights), transform.scale_clamp)
        self.score_threshold = heads.box_predictor.test_score_thresh

    def forward(
        self, features: Tensor, proposals: Tensor, valid: Tensor, sizes_hw: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Boxes (B, P, C, 4), clipped, and scores (B, P, C), -1 for what is no candidate."""
        num_images, num_proposals, _ = proposals.shape
        logits, deltas = self.predictor(self._box_features(features, proposals))
        logits = logits.unflatten(0, (num_images, num_proposals))
        deltas = deltas.unflatten(0, (num_images, num_proposals))
        probabilities = logits.sigmoid() if self.predictor.use_sigmoid_ce else logits.softmax(dim=2)
        scores = probabilities[..., :-1]  # background last
        boxes = decode(deltas, proposals, *self.transform)  # (B, P, C or 1, 4)
        boxes = boxes.expand(-1, -1, scores.shape[2], -1)
        finite = boxes.isfinite().all(dim=3) & scores.isfinite()
        candidates = finite & (scores > self.score_threshold) & valid[..., None]
        boxes = torch.where(candidates[..., None], boxes, torch.zeros_like(boxes))
        return clip(boxes, sizes_hw), torch.where(candidates, scores, -1.0)

    def _box_features(self, features: Tensor, proposals: Tensor) -> Tensor:
        """(B * P, channels)."""
        image = torch.arange(proposals.shape[0], device=proposals.device, dtype=proposals.dtype)
        image = image[:, None, None].expand(-1, proposals.shape[1], 1)
        rois = torch.cat([image, proposals], dim=2).flatten(0, 1)  # (B * P, 5)
        pooled = self.pooler(features.float(), rois).to(features.dtype)
        box_features = self.head(pooled)
        return box_features.mean(dim=(2, 3)) if self.is_res5 else box_features


def _decay(predictor: SoftNMSOutputLayers) -> dict[str, Any]:
    """The arguments of `acnet.layers.soft_nms` by which the model thins its detections out."""
    most = predictor.test_topk_per_image
    return {
        "method": predictor.soft_nms_method,
        "iou_threshold": predictor.test_nms_thresh,
        "sigma": predictor.soft_nms_sigma,
        "score_floor": predictor.score_floor,
        "max_detections": most if most >= 0 else None,
    }


def _limited(decay: dict[str, Any], num_places: int) -> dict[str, Any]:
    most = decay["max_detections"]
    return {**decay, "max_detections": num_places if most is None else min(most, num_places)}


def _check(model: nn.Module, tile_px: int) -> None:
    known = isinstance(model, GeneralizedRCNN) and isinstance(
        model.roi_heads, StandardROIHeads | Res5ROIHeads
    )
    if not known or not isinstance(model.roi_heads.box_predictor, SoftNMSOutputLayers):
        raise UserError(
            "An export is built of the parts of ACNet: an RPN, a box head of fully connected "
            f"layers or res5, and Soft-NMS. Received a {type(model).__name__} with other parts; "
            "use --engine eager for it."
        )
    if len(model.proposal_generator.in_features) != 1:
        raise UserError(
            "An export reads one feature map, as ACNet's heads do. Received a model whose RPN "
            f"reads {', '.join(model.proposal_generator.in_features)}; use --engine eager for it."
        )
    divisor = max(model.backbone.size_divisibility, 1)
    if tile_px < divisor or tile_px % divisor:
        raise UserError(
            f"Tiles are as long as whole cells of the deepest feature map, {divisor} pixels. "
            f"Received --tile {tile_px}; use {max(round(tile_px / divisor), 1) * divisor}."
        )
