"""Box heads on a CPU: pool only what is read, and keep what is computed in the cache."""

import torch
from detectron2.layers import ROIAlign
from detectron2.modeling.backbone.resnet import BottleneckBlock
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.roi_heads import Res5ROIHeads
from detectron2.structures import Boxes
from torch import Tensor, nn

from acnet.layers.roi_align import roi_align

__all__ = ["ChunkedStage", "StridedPooler", "skip_unread_bins"]

# Boxes that go through res5 at once: its largest map is then 6 MB in bfloat16. With 300 boxes it is
# 60 MB, and the convolution that writes it took 1.7 times as long.
CHUNK = 32


class StridedPooler(nn.Module):
    """`ROIPooler` of one level that leaves bins out which nobody reads."""

    def __init__(self, pooler: ROIPooler, bin_stride: int):
        """
        Args:
            pooler: RoIAlign on one level.
            bin_stride: 2 gives every other bin of every other row.
        """
        super().__init__()
        (level,) = pooler.level_poolers
        self._options = {
            "output_size": level.output_size,
            "spatial_scale": level.spatial_scale,
            "sampling_ratio": level.sampling_ratio,
            "aligned": level.aligned,
            "bin_stride": bin_stride,
        }

    def forward(self, x: list[Tensor], box_lists: list[Boxes]) -> Tensor:
        """As `ROIPooler.forward`; the result is in channels_last."""
        return roi_align(x[0], [boxes.tensor for boxes in box_lists], **self._options)


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


def skip_unread_bins(heads: Res5ROIHeads) -> None:
    """Pool only the bins that res5 reads, where its first convolutions stride over them.

    With the stride in 1x1 convolutions, three bins in four are pooled and never read.

    Args:
        heads: on a CPU; pooler and strides are changed, unless the bins are all read.
    """
    first, pooler = heads.res5[0], heads.pooler
    if not isinstance(first, BottleneckBlock) or first.shortcut is None or not _is_align(pooler):
        return
    readers, stride = (first.conv1, first.shortcut), first.conv1.stride[0]
    if any(conv.kernel_size != (1, 1) or conv.stride != (stride, stride) for conv in readers):
        return
    for conv in readers:
        conv.stride = (1, 1)
    heads.pooler = StridedPooler(pooler, stride)


def _is_align(pooler: nn.Module) -> bool:
    return (
        isinstance(pooler, ROIPooler)
        and len(pooler.level_poolers) == 1
        and isinstance(pooler.level_poolers[0], ROIAlign)
    )
