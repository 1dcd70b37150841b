"""RoIAlign that reads boxes in float32, and only the bins that somebody reads.

bfloat16 keeps 8 bits: at x = 640 its grid is 4 pixels wide. detectron2 hands boxes to RoIAlign in
the precision of the features; in float32 they cost little.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import torchvision
from detectron2.layers import ROIAlign
from detectron2.modeling.backbone.resnet import BottleneckBlock
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from torch import Tensor, nn

from acnet.layers import roi_align
from acnet.layers.roi_align import has_kernel


def autocast_off(tensor: Tensor) -> AbstractContextManager:
    """A context in which autocast is off for the device of the tensor."""
    if not torch.amp.is_autocast_available(tensor.device.type):
        return nullcontext()  # torch's meta device, on which sizes are counted
    return torch.autocast(device_type=tensor.device.type, enabled=False)


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
        with autocast_off(x[0]):
            are_ours = all(isinstance(one, _ROIAlign) for one in self.level_poolers)
            is_kept = are_ours and all(map(has_kernel, x))
            maps = x if is_kept else [features.float() for features in x]
            pooled = super().forward(maps, box_lists)
        return pooled.to(x[0].dtype)


class _ROIAlign(ROIAlign):
    """`ROIAlign` by whichever form is faster: the same result."""

    def forward(self, features: Tensor, boxes: Tensor) -> Tensor:
        """Same as `ROIAlign.forward`."""
        if not _is_ours_faster(features) or torch.compiler.is_compiling():
            return super().forward(features, boxes)
        return roi_align(
            features, boxes, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned
        )


def _is_ours_faster(features: Tensor) -> bool:
    """Whether our RoIAlign is faster than torchvision's; the meta device has no values to pool."""
    return features.device.type == "cpu" or has_kernel(features)


def pooler_of(cfg, stride: int) -> Float32ROIPooler:
    """The pooler of a yaml config, for a map of some stride."""
    return Float32ROIPooler(
        output_size=cfg.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION,
        scales=(1.0 / stride,),
        sampling_ratio=cfg.MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO,
        pooler_type=cfg.MODEL.ROI_BOX_HEAD.POOLER_TYPE,
    )


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
        """As `ROIPooler.forward`; on a CPU and by our kernel the result is in channels_last."""
        (features,), boxes = x, [one.tensor for one in box_lists]
        if _is_ours_faster(features):
            return roi_align(features, boxes, **self._options)
        options = dict(self._options)
        step = options.pop("bin_stride")
        with autocast_off(features):
            pooled = torchvision.ops.roi_align(features.float(), boxes, **options)
        return pooled[:, :, ::step, ::step].to(features.dtype)


def skip_unread_bins(heads: nn.Module) -> None:
    """Pool only the bins that res5 reads, where its first convolutions stride over them.

    With the stride in 1x1 convolutions, three bins in four are pooled and never read.

    Args:
        heads: one of `RES5_HEADS`; pooler and strides are changed, unless the bins are all read.
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
