"""Box heads on a CPU: pool only what is read, and keep what is computed in the cache."""

import torch
from detectron2.layers import ROIAlign
from detectron2.modeling.backbone.resnet import BottleneckBlock
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.roi_heads import Res5ROIHeads
from detectron2.structures import Boxes
from torch import Tensor, nn

from acnet.layers.roi_align import roi_align

__all__ = ["ChunkedStage", "SeparablePooler", "can_pool", "skip_unread_bins"]

# Boxes that go through res5 at once: its largest map is then 6 MB in bfloat16. With 300 boxes it is
# 60 MB, and the convolution that writes it took 1.7 times as long.
CHUNK = 32


class SeparablePooler(nn.Module):
    """`ROIPooler` of one level, by `acnet.layers.roi_align`, perhaps with bins left out."""

    def __init__(self, pooler: ROIPooler, bin_stride: int = 1):
        """
        Args:
            pooler: see `can_pool`.
            bin_stride: 2 gives every other bin of every other row.
        """
        super().__init__()
        (level,) = pooler.level_poolers
        self.output_size = pooler.output_size
        self.bin_stride = bin_stride
        self._options = {
            "output_size": level.output_size,
            "spatial_scale": level.spatial_scale,
            "sampling_ratio": level.sampling_ratio,
            "aligned": level.aligned,
        }

    def forward(self, x: list[Tensor], box_lists: list[Boxes]) -> Tensor:
        """Same as `ROIPooler.forward`; the result is in channels_last."""
        boxes = [boxes.tensor for boxes in box_lists]
        return roi_align(x[0], boxes, bin_stride=self.bin_stride, **self._options)


def can_pool(pooler: nn.Module) -> bool:
    """Tell whether a pooler is RoIAlign on one level, which `SeparablePooler` computes."""
    return (
        isinstance(pooler, ROIPooler)
        and len(pooler.level_poolers) == 1
        and isinstance(pooler.level_poolers[0], ROIAlign)
    )


class ChunkedStage(nn.Module):
    """A stage of a ResNet as box head, a few boxes at a time, averaged over their bins."""

    def __init__(self, stage: nn.Module, chunk: int = CHUNK):
        """
        Args:
            stage: from pooled maps to maps.
            chunk: boxes at once.
        """
        super().__init__()
        self.stage = stage
        self.chunk = chunk

    def forward(self, pooled: Tensor) -> Tensor:
        """
        Args:
            pooled: (R, C, P, P).

        Returns:
            (R, C', 1, 1): `Res5ROIHeads` takes the mean over the bins, which these are already.
        """
        chunks = pooled.split(self.chunk)  # one empty chunk where there are no boxes
        return torch.cat([self.stage(chunk).mean(dim=(2, 3), keepdim=True) for chunk in chunks])


def skip_unread_bins(heads: Res5ROIHeads) -> int:
    """Let res5 read all that is pooled, where its first convolutions stride over bins.

    With the stride in 1x1 convolutions, three bins in four are pooled and never read.

    Args:
        heads: with detectron2's bottlenecks in `res5`; their strides are changed.

    Returns:
        The stride of the bins that are read: what to give to `SeparablePooler`.
    """
    first = heads.res5[0]
    if not isinstance(first, BottleneckBlock) or first.shortcut is None:
        return 1
    readers = (first.conv1, first.shortcut)
    stride = first.conv1.stride[0]
    if any(conv.kernel_size != (1, 1) or conv.stride != (stride, stride) for conv in readers):
        return 1
    for conv in readers:
        conv.stride = (1, 1)
    return stride
