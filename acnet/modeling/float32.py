"""Parts of detectron2 that stay in float32 under autocast, where rounding would cost accuracy.

bfloat16 keeps 8 bits: at x = 640 its grid is 4 pixels wide, and thousands of scores become equal.
detectron2 hands boxes to RoIAlign in the precision of the features, and ranks proposals by logits
in the precision of autocast. Both cost little in float32.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from detectron2.layers import ROIAlign
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.proposal_generator.rpn import RPN_HEAD_REGISTRY, StandardRPNHead
from detectron2.structures import Boxes
from torch import Tensor, nn

from acnet.layers import roi_align

__all__ = ["Float32ROIPooler", "Float32RPNHead", "float32_region"]


def float32_region(tensor: Tensor) -> AbstractContextManager:
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
        with float32_region(x[0]):
            pooled = super().forward([features.float() for features in x], box_lists)
        return pooled.to(x[0].dtype)


class _ROIAlign(ROIAlign):
    """`ROIAlign` by whichever form is faster: the same result."""

    def forward(self, features: Tensor, boxes: Tensor) -> Tensor:
        """Same as `ROIAlign.forward`."""
        # Measured on CPUs only (docs/lab/performance_training.md). A GPU would wait for the boxes,
        # and has torchvision's kernel; on the meta device there are no values to look at.
        if features.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(features, boxes)
        return roi_align(
            features, boxes, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned
        )


@RPN_HEAD_REGISTRY.register()
class Float32RPNHead(StandardRPNHead):
    """`StandardRPNHead` whose hidden convolution follows autocast and whose predictions do not."""

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Same as `StandardRPNHead.forward`, in float32."""
        logits, deltas = [], []
        for level in features:
            hidden = self.conv(level)
            with float32_region(hidden):
                logits.append(self.objectness_logits(hidden.float()))
                deltas.append(self.anchor_deltas(hidden.float()))
        return logits, deltas
