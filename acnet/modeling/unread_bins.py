"""RoIAlign without the bins that nobody reads: res5 as a box head strides over three in four."""

from detectron2.layers import ROIAlign
from detectron2.modeling.backbone.resnet import BottleneckBlock
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.roi_heads import Res5ROIHeads
from detectron2.structures import Boxes
from torch import Tensor, nn

from acnet.layers import roi_align
from acnet.modeling.heads import SoftNMSRes5ROIHeads

RES5_HEADS = (Res5ROIHeads, SoftNMSRes5ROIHeads)  # other subclasses use res5 in another way


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


def skip_unread_bins(heads: Res5ROIHeads) -> None:
    """Pool only the bins that res5 reads, where its first convolutions stride over them.

    With the stride in 1x1 convolutions, three bins in four are pooled and never read.

    Args:
        heads: pooler and strides are changed, unless the bins are all read.
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
