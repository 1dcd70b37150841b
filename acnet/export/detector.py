"""A whole detector in which every tensor has a fixed size, so that it can leave Python.

It is built of a model's own parts and computes as detectron2 does. detectron2's own code is
compiled for TorchScript or sits in classes that an export cannot see into, and it drops boxes,
which changes sizes. Here nothing is dropped: a mask, or a score of -1, tells what does not count.

Shape shorthand:
    B: tiles of a batch
    T: side of a tile in pixels
    H, W: height and width of the feature map, A: anchors of a cell
    N: boxes of a tile; P: proposals of a tile after NMS
    C: classes
    K: places for picks, and for detections of a tile
"""

import torch
from detectron2.modeling.meta_arch import GeneralizedRCNN
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.roi_heads import Res5ROIHeads, ROIHeads, StandardROIHeads
from torch import Tensor, nn

from acnet.errors import UserError
from acnet.layers import nms, soft_nms_padded
from acnet.layers.box_targets import decode
from acnet.modeling import SoftNMSOutputLayers
from acnet.modeling.heads import MIN_SIDE
from acnet.modeling.own_cells import (
    cells_inside,
    extend_edges,
    padding_kept_out,
    run_backbone,
    whole_cells,
)


class FixedSizeDetector(nn.Module):
    """Inference of an `ACNet`, built from its own parts, on tiles of one size.

    Where detectron2 drops boxes, here they lose their score: -1 marks a place without a detection.
    """

    def __init__(self, model: GeneralizedRCNN, *, tile_px: int):
        """Take the parts of a model in evaluation mode, for tiles of T = `tile_px`.

        Raises:
            UserError: the model has parts that this does not know, or the size does not suit it.
        """
        super().__init__()
        _check(model, tile_px)
        self.backbone = model.backbone
        self.feature = model.proposal_generator.in_features[0]
        self.register_buffer("pixel_mean", model.pixel_mean)
        self.register_buffer("pixel_std", model.pixel_std)
        self.divisibility = max(model.backbone.size_divisibility, 1)
        self.stride = stride = model.backbone.output_shape()[self.feature].stride
        grid_hw = (tile_px // stride, tile_px // stride)
        self.proposals = _FixedProposals(model.proposal_generator, grid_hw)
        self.detections = _FixedDetections(model.roi_heads)
        predictor = model.roi_heads.box_predictor
        most = predictor.test_topk_per_image
        places = self.proposals.num_after * predictor.num_classes
        self.soft_nms = {
            "method": predictor.soft_nms_method,
            "iou_threshold": predictor.test_nms_thresh,
            "sigma": predictor.soft_nms_sigma,
            "score_floor": predictor.score_floor,
            "max_detections": min(most, places) if most >= 0 else places,
        }

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
            Boxes (B, K, 4) in pixels of the tile, scores (B, K) and classes (B, K) int64, in the
            order of picking.
        """
        whole_hw = whole_cells(sizes_hw, self.divisibility)
        with padding_kept_out([self.backbone, self.proposals.head], whole_hw, images.shape[2:]):
            prepared = self._prepare(images, sizes_hw)
            features = run_backbone(self.backbone, prepared, sizes_hw)[self.feature]
            inside = cells_inside(whole_hw, features.shape[2:], self.stride)
            proposals, valid = self.proposals(features, sizes_hw, inside)
        features = extend_edges(features, whole_hw, self.stride)
        valid = valid & centred_in(proposals, parts_xyxy)
        boxes, scores = self.detections(features, proposals, valid, sizes_hw)
        num_classes = scores.shape[2]
        classes = torch.arange(num_classes, device=scores.device).repeat(scores.shape[1])
        boxes, scores = boxes.flatten(1, 2), scores.flatten(1, 2)
        candidates = (boxes, scores, classes.expand(scores.shape))
        picks, decayed = soft_nms_padded(*candidates, **self.soft_nms)
        found = decayed >= 0
        picked = boxes.gather(1, picks[..., None].expand(-1, -1, 4)) * found[..., None]
        return picked, decayed, classes[picks] * found

    def _prepare(self, images: Tensor, sizes_hw: Tensor) -> Tensor:
        """Normalise, then blank the padding: its order in `GeneralizedRCNN.preprocess_image`."""
        normalised = (images - self.pixel_mean) / self.pixel_std
        sizes = sizes_hw[:, :, None, None]  # (B, 2, 1, 1)
        rows = torch.arange(images.shape[2], device=images.device)[:, None] < sizes[:, 0:1]
        columns = torch.arange(images.shape[3], device=images.device) < sizes[:, 1:2]
        return torch.where(rows & columns, normalised, torch.zeros_like(normalised))


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
        self.transform = heads.box_predictor.box2box_transform
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
        boxes = decode(deltas, proposals, self.transform)  # (B, P, C or 1, 4)
        boxes = boxes.expand(-1, -1, scores.shape[2], -1)
        finite = boxes.isfinite().all(dim=3) & scores.isfinite()
        boxes = clip(boxes, sizes_hw)
        is_whole = (boxes[..., 2:] - boxes[..., :2] > MIN_SIDE).all(dim=-1)
        candidates = finite & is_whole & (scores > self.score_threshold) & valid[..., None]
        boxes = torch.where(candidates[..., None], boxes, torch.zeros_like(boxes))
        return boxes, torch.where(candidates, scores, -1.0)

    def _box_features(self, features: Tensor, proposals: Tensor) -> Tensor:
        """(B * P, channels)."""
        image = torch.arange(proposals.shape[0], device=proposals.device, dtype=proposals.dtype)
        image = image[:, None, None].expand(-1, proposals.shape[1], 1)
        rois = torch.cat([image, proposals], dim=2).flatten(0, 1)  # (B * P, 5)
        pooled = self.pooler(features.float(), rois).to(features.dtype)
        box_features = self.head(pooled)
        return box_features.mean(dim=(2, 3)) if self.is_res5 else box_features


def _check(model: nn.Module, tile_px: int) -> None:
    known = isinstance(model, GeneralizedRCNN) and isinstance(
        model.roi_heads, StandardROIHeads | Res5ROIHeads
    )
    if not known or not isinstance(model.roi_heads.box_predictor, SoftNMSOutputLayers):
        raise UserError(
            "An export is built of the parts of ACNet: an RPN, a box head of fully connected "
            f"layers or res5, and Soft-NMS. Received a {type(model).__name__} with other parts "
            f"({type(getattr(model, 'roi_heads', model)).__name__}); "
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


class _FixedProposals(nn.Module):
    """`RPN.forward` in evaluation mode, for one feature map of a known size."""

    def __init__(self, rpn: RPN, grid_hw: tuple[int, int]):
        super().__init__()
        self.head = rpn.rpn_head
        generator = rpn.anchor_generator
        (stride,), (anchors,) = generator.strides, generator.cell_anchors  # (A, 4)
        self.register_buffer("cell_anchors", anchors, persistent=False)
        self.grid_hw, self.stride, self.offset = grid_hw, stride, generator.offset
        num_anchors = len(anchors) * grid_hw[0] * grid_hw[1]
        self.num_before = min(rpn.pre_nms_topk[False], num_anchors)
        self.num_after = min(rpn.post_nms_topk[False], self.num_before)
        self.transform = rpn.box2box_transform
        self.iou_threshold = rpn.nms_thresh
        self.min_box_size = rpn.min_box_size

    def forward(self, features: Tensor, sizes_hw: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (B, P, 4), best first, and which of them count (B, P); the others are zeros.

        Cells that are not `inside` (B, 1, H, W) have no anchors.
        """
        (logits,), (deltas,) = self.head([features])
        logits = logits.masked_fill(~inside, -torch.inf)
        logits = logits.permute(0, 2, 3, 1).flatten(1)  # (B, H * W * A)
        deltas = deltas.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3)
        scores, best = logits.topk(self.num_before, dim=1)  # (B, N)
        best_deltas = deltas.gather(1, best[..., None].expand(-1, -1, 4))
        # Decoded after the choice, which gives the same boxes for a hundredth of the work.
        anchors = self._anchors(best)
        boxes = decode(best_deltas, anchors, self.transform)[:, :, 0]  # (B, N, 4)
        valid = boxes.isfinite().all(dim=2) & scores.isfinite()
        boxes = clip(torch.where(valid[..., None], boxes, torch.zeros_like(boxes)), sizes_hw)
        sides = boxes[..., 2:] - boxes[..., :2]
        valid = valid & (sides > self.min_box_size).all(dim=2)
        picks = padded_nms(boxes, valid, self.iou_threshold, self.num_after)  # (B, P)
        index = picks.clamp(min=0)[..., None].expand(-1, -1, 4)
        picked = picks >= 0
        return boxes.gather(1, index) * picked[..., None], picked

    def _anchors(self, chosen: Tensor) -> Tensor:
        """Return the anchors (B, N, 4) of places (B, N) in the order of cells, row by row.

        A table of all would be a tenth of a small model's file.
        """
        cell, anchor = chosen // len(self.cell_anchors), chosen % len(self.cell_anchors)
        columns_rows = torch.stack([cell % self.grid_hw[1], cell // self.grid_hw[1]], dim=2)
        corners = (columns_rows + self.offset) * float(self.stride)  # (B, N, 2) x, y
        return corners.repeat(1, 1, 2) + self.cell_anchors[anchor]


def padded_nms(boxes_xyxy: Tensor, valid: Tensor, iou_threshold: float, max_picks: int) -> Tensor:
    """Pick boxes as `acnet.layers.nms` does, into a fixed number of places.

    An export takes ONNX's operator, which stops after K picks.

    Args:
        boxes_xyxy: (B, N, 4), best first.
        valid: (B, N) bool; other boxes neither stay nor suppress.
        iou_threshold: a box goes if it overlaps a better one by more.
        max_picks: K, at most N.

    Returns:
        (B, K) int64 indices, best first, -1 in the places that are left.
    """
    num_images, num_boxes = valid.shape
    # Their order is all that NMS needs of the scores, and no two ranks are equal: N for the first
    # box down to 1 for the last, 0 for those that do not count.
    ranks = torch.arange(num_boxes, 0, -1, dtype=torch.float32, device=valid.device)
    ranks = torch.where(valid, ranks, torch.zeros_like(ranks))  # (B, N)
    if torch.compiler.is_compiling():
        limits = (
            torch.tensor([max_picks]),
            torch.tensor([iou_threshold], dtype=torch.float32),
            torch.tensor([0.0]),  # ranks of boxes that count are above it
        )
        picks = torch.onnx.ops.symbolic(
            "NonMaxSuppression",
            (boxes_xyxy, ranks[:, None], *limits),
            dtype=torch.int64,
            # There are fewer rows where there are fewer picks; nothing below asks for their number.
            shape=(num_images * max_picks, 3),
            version=11,
        )
        image, _, box = picks.unbind(dim=1)
        ones = (image >= 0).to(ranks.dtype)  # as many as there are, which no size here can say
        kept = torch.zeros_like(ranks).index_put((image, box), ones)
    else:
        kept = torch.zeros_like(ranks)
        for row, boxes, rank in zip(kept, boxes_xyxy, ranks, strict=True):
            counts = rank.nonzero()[:, 0]
            row[counts[nms(boxes[counts], rank[counts], iou_threshold, max_picks)]] = 1
    rank, index = (ranks * kept).topk(max_picks, dim=1)
    return torch.where(rank > 0, index, -1)


def clip(boxes_xyxy: Tensor, sizes_hw: Tensor) -> Tensor:
    """Cut boxes (B, ..., 4) at the borders of their images, whose sizes are (B, 2) float32."""
    limits = sizes_hw.flip(1).repeat(1, 2)  # (B, 4): width, height, width, height
    limits = limits.view(-1, *[1] * (boxes_xyxy.dim() - 2), 4)
    return torch.minimum(boxes_xyxy.clamp(min=0), limits)


def centred_in(boxes_xyxy: Tensor, parts_xyxy: Tensor) -> Tensor:
    """Tell (B, N) which boxes (B, N, 4) have their centre in their tile's part (B, 4)."""
    centres = (boxes_xyxy[..., :2] + boxes_xyxy[..., 2:]) / 2
    parts = parts_xyxy[:, None]
    return ((centres >= parts[..., :2]) & (centres <= parts[..., 2:])).all(dim=2)
