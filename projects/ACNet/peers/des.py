"""DES: SSD whose finest level learns what is where, and whose others weigh their channels."""

import torch
import torch.nn.functional as F
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.structures import ImageList, Instances
from torch import Tensor, nn

from acnet.modeling.poolers import autocast_off

from .single_shot import SSD, SSDHead
from .vgg import conv_norm_relu, xavier

__all__ = ["DES", "DESHead", "GlobalActivation", "SegmentationBranch", "box_segmentation"]


class SegmentationBranch(nn.Module):
    """Weighs a level by what it says of the classes in its cells.

    Reference: Zhang et al., Single-Shot Object Detection with Enriched Semantics, CVPR 2018
    ([24] in the paper's Table IV), 3.2.
    """

    def __init__(self, *, channels: int, num_classes: int, norm: str = ""):
        """
        Args:
            channels: of the level.
            num_classes: K.
            norm: of the dilated convolutions.
        """
        super().__init__()
        self.hidden = nn.Sequential(
            *(
                conv_norm_relu(channels, channels, 3, padding=rate, dilation=rate, norm=norm)
                for rate in (2, 2, 2, 4)
            )
        )
        self.logits = nn.Conv2d(channels, num_classes + 1, 1)
        self.gate = nn.Conv2d(channels, channels, 1)
        xavier(self)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Return the (B, C, H, W) level, weighed, and (B, K + 1, H, W) logits, background last."""
        hidden = self.hidden(level)
        with autocast_off(hidden):
            logits = self.logits(hidden.float())
        return level * self.gate(hidden).sigmoid(), logits


class GlobalActivation(nn.Module):
    """A weight for each channel, by the means of all of them.

    Reference: the same, 3.3.
    """

    def __init__(self, *, channels: int, reduction: int = 4):
        """
        Args:
            channels: of the level.
            reduction: by how much the hidden layer is narrower.
        """
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Conv2d(channels, channels // reduction, 1),
            nn.ReLU(),
            nn.Conv2d(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )
        xavier(self)

    def forward(self, level: Tensor) -> Tensor:
        """Return the (B, C, H, W) level, weighed."""
        return level * self.weigh(level.mean(dim=(2, 3), keepdim=True))


class DESHead(SSDHead):
    """`SSDHead` that enriches the levels that it reads; its third result is the segmentation."""

    def __init__(
        self, *, in_channels: list[int], num_anchors: list[int], num_classes: int, norm: str = ""
    ):
        """
        Args:
            in_channels, num_anchors, num_classes: as for `SSDHead`.
            norm: of the segmentation branch.
        """
        super().__init__(in_channels=in_channels, num_anchors=num_anchors, num_classes=num_classes)
        first, *others = in_channels
        self.segmentation = SegmentationBranch(channels=first, num_classes=num_classes, norm=norm)
        self.activations = nn.ModuleList(GlobalActivation(channels=count) for count in others)

    def forward(self, features: list[Tensor]) -> list:
        """Return the logits of the levels, their deltas, and the segmentation of the first one."""
        finest, *others = features
        finest, segmentation = self.segmentation(finest)
        others = [weigh(one) for weigh, one in zip(self.activations, others, strict=True)]
        return [*super().forward([finest, *others]), segmentation]


@META_ARCH_REGISTRY.register()
class DES(SSD):
    """`SSD` with the loss of a segmentation, whose ground truth the boxes are."""

    def __init__(self, *, segmentation_weight: float = 0.1, **kwargs):
        """
        Args:
            segmentation_weight: of its loss.
            kwargs: as for `SSD`.
        """
        super().__init__(**kwargs)
        self.segmentation_weight = segmentation_weight

    def forward_training(
        self,
        images: ImageList,
        features: list[Tensor],
        predictions: list,
        gt_instances: list[Instances],
    ) -> dict[str, Tensor]:
        """Return SSD's losses and "loss_segmentation"."""
        *predictions, logits = predictions
        losses = super().forward_training(images, features, predictions, gt_instances)
        stride = self.default_boxes.strides[0]
        targets = [
            box_segmentation(
                gt.gt_boxes.tensor,
                gt.gt_classes,
                grid_hw=logits.shape[2:],
                stride=stride,
                background=self.num_classes,
            )
            for gt in gt_instances
        ]
        loss = F.cross_entropy(logits, torch.stack(targets))
        return {**losses, "loss_segmentation": self.segmentation_weight * loss}

    def forward_inference(
        self, images: ImageList, features: list[Tensor], predictions: list
    ) -> list[Instances]:
        """Same as `SSD.forward_inference`."""
        return super().forward_inference(images, features, predictions[:2])


def box_segmentation(
    boxes: Tensor, classes: Tensor, *, grid_hw: tuple[int, int], stride: int, background: int
) -> Tensor:
    """Return which class each cell shows, as far as boxes tell: that of the smallest one there.

    Args:
        boxes: (N, 4), in pixels.
        classes: (N,).
        grid_hw: cells.
        stride: pixels of a cell.
        background: the class of cells without a box.

    Returns:
        (H, W) classes.
    """
    if len(boxes) == 0:
        return torch.full(tuple(grid_hw), background, device=boxes.device)
    x1, y1, x2, y2 = (side[:, None] for side in boxes.unbind(1))
    top, left = (torch.arange(cells, device=boxes.device) * stride for cells in grid_hw)
    rows = (y1 < top + stride) & (y2 > top)  # (N, H)
    columns = (x1 < left + stride) & (x2 > left)  # (N, W)
    areas = ((x2 - x1) * (y2 - y1))[..., None]  # (N, 1, 1)
    areas = areas.where(rows[:, :, None] & columns[:, None], torch.inf)  # (N, H, W)
    smallest, index = areas.min(dim=0)
    return classes[index].where(smallest.isfinite(), background)
