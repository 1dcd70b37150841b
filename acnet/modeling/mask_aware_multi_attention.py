"""Mask-Aware Multi-Attention (MAMA), the last stop before the RPN, and its stand-in."""

import logging
from collections.abc import Sequence

import torch
from detectron2.layers import Conv2d, ShapeSpec, get_norm
from detectron2.modeling import Backbone
from detectron2.structures import ImageList, Instances
from fvcore.nn import weight_init
from torch import Tensor, nn

from .attention_blocks import (
    ContextAttention,
    MaskAttention,
    StreamlinedInception,
    mask_attention_loss,
)
from .own_cells import SizesHW, own_cells, run_backbone

logger = logging.getLogger(__name__)

# What the saliency is raised by. NOT IN PAPER: "centred" and "residual".
_GATE_OFFSETS = {"product": 0.0, "centred": 0.5, "residual": 1.0}
_GATES = (*_GATE_OFFSETS, "sum")


class _OfOneMap(Backbone):
    """A backbone that reads one map of another, `bottom_up`, and gives one of the same name."""

    pools_over_map = True

    def output_shape(self) -> dict[str, ShapeSpec]:
        return {self.in_feature: self._output_shape}

    @property
    def size_divisibility(self) -> int:
        return self.bottom_up.size_divisibility

    @property
    def padding_constraints(self) -> dict[str, int]:
        return self.bottom_up.padding_constraints


class MaskAwareMultiAttention(_OfOneMap):
    """Suppress the background and raise probable lesions on the merged map.

    Reference: paper, III-C, Fig. 4.
    """

    gives_losses = True  # if it is given the boxes: see `ACNet`

    def __init__(
        self,
        *,
        bottom_up: Backbone,
        in_feature: str = "p3",
        width: float = 1.0,
        mask_channels: int = 256,
        context_reduction: int = 16,
        norm: str = "BN",
        gate: str = "product",
        shortcut: bool = False,
        loss_weight: float = 1.0,
    ):
        """
        Args:
            bottom_up: gives the merged map under the name `in_feature`.
            in_feature: which map to attend to; the output keeps the name.
            width: see `StreamlinedInception`.
            mask_channels: hidden channels of the mask attention block.
            context_reduction: r of the context attention block.
            norm: normalisation of the inception network.
            gate: "product" is the paper's `sigmoid(m) * GC(X)`; "sum" is the other reading of its
                "concurrently", `sigmoid(m) * X + GC(X)`, as in DANet; "residual" is
                `(1 + sigmoid(m)) * GC(X)`, which never erases the surroundings of a lesion;
                "centred" is `(1/2 + sigmoid(m)) * GC(X)`, which neither erases them nor changes
                the map before the mask has learnt anything.
            shortcut: X is a 1x1 convolution of the merged map with `norm`, plus the inception
                network's output times a gain for each channel that starts at zero. Together with
                the gate "centred" the module starts as `ChannelProjection` with that norm.
            loss_weight: weight of the attention loss; 0 leaves the mask unsupervised.

        Raises:
            ValueError: for an unknown gate.
        """
        super().__init__()
        if gate not in _GATES:
            raise ValueError(f"gate must be one of {_GATES}. Received {gate!r}.")
        shape = bottom_up.output_shape()[in_feature]
        self.bottom_up = bottom_up
        self.in_feature = in_feature
        self.gate = gate
        self.loss_weight = loss_weight
        self._warns = loss_weight > 0
        self.inception = StreamlinedInception(in_channels=shape.channels, width=width, norm=norm)
        channels = self.inception.out_channels
        # NOT IN PAPER: the shortcut. See docs/lab/components.md for what it changes.
        self.project = _projection(shape.channels, channels, norm) if shortcut else None
        self.gain = nn.Parameter(torch.zeros(channels, 1, 1)) if shortcut else None
        self.mask_attention = MaskAttention(
            in_channels=channels, hidden_channels=mask_channels, zero_init=gate == "centred"
        )
        self.context_attention = ContextAttention(channels=channels, reduction=context_reduction)
        self._output_shape = ShapeSpec(channels=channels, stride=shape.stride)

    def forward(
        self,
        image: Tensor,
        image_sizes: SizesHW = None,
        gt_boxes_xyxy: Sequence[Tensor] | None = None,
    ) -> dict[str, Tensor] | tuple[dict[str, Tensor], dict[str, Tensor]]:
        """
        Args:
            image: (B, 3, H, W), normalised and padded to `size_divisibility`.
            image_sizes: for each image its height and width without padding; None for none padded.
            gt_boxes_xyxy: in training, for each image (N, 4), which supervise the mask.

        Returns:
            {in_feature: (B, out_channels, H / stride, W / stride)}, I; with `gt_boxes_xyxy` also
            the losses: {"loss_attention": scalar} unless its weight is 0.
        """
        attended, mask_logits = self.attended(image, image_sizes)
        features = {self.in_feature: attended}
        if gt_boxes_xyxy is None:
            self._warn_without_supervision()
            return features
        if self.loss_weight == 0:
            return features, {}
        if image_sizes is None:
            image_sizes = [tuple(image.shape[-2:])] * len(image)
        stride = self._output_shape.stride
        loss = mask_attention_loss(mask_logits, gt_boxes_xyxy, image_sizes, stride)
        return features, {"loss_attention": self.loss_weight * loss}

    def forward_with_losses(
        self, images: ImageList, gt_instances: list[Instances]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """`forward` for training: also what supervises the mask.

        Args:
            images: the padded batch; its `image_sizes` say what is not padding.
            gt_instances: for each image the ground truth, with `gt_boxes`.

        Returns:
            The features of `forward`, and {"loss_attention": scalar} unless its weight is 0.
        """
        boxes = [instances.gt_boxes.tensor for instances in gt_instances]
        return self(images.tensor, images.image_sizes, boxes)  # so that hooks see the call

    def _warn_without_supervision(self) -> None:
        """Say once that another meta-architecture trains the mask without its loss."""
        if self._warns and self.training and torch.is_grad_enabled():
            self._warns = False
            logger.warning(
                "The mask attention is trained without its loss, since this meta-architecture hands"
                " no boxes to the backbone. Use ACNet (MODEL.META_ARCHITECTURE), or set loss_weight"
                " (MODEL.ACNET.MAMA.LOSS_WEIGHT) to 0."
            )

    def attended(self, image: Tensor, image_sizes: SizesHW = None) -> tuple[Tensor, Tensor]:
        """The attended map and the mask's logits, of the arguments of `forward`."""
        merged = run_backbone(self.bottom_up, image, image_sizes)[self.in_feature]
        return self.attend(merged, own_cells(merged, image_sizes, self._output_shape.stride))

    def attend(self, merged: Tensor, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the attention to the merged map.

        Args:
            merged: (B, C, H, W), D.
            own: (B, 1, H, W) bool, the cells that are not padding; None for all.

        Returns:
            The attended map I (B, out_channels, H, W) and the mask's logits (B, 1, H, W).
        """
        features = self.inception(merged)
        if self.project is not None:
            features = self.project(merged) + self.gain.to(features.dtype) * features
        mask_logits = self.mask_attention(features)
        saliency, context = mask_logits.sigmoid(), self.context_attention(features, own)
        if self.gate == "sum":
            return saliency * features + context, mask_logits
        return (saliency + _GATE_OFFSETS[self.gate]) * context, mask_logits

    def saliency(self, image: Tensor, image_sizes: SizesHW = None) -> Tensor:
        """The mask attention's probabilities, to look at.

        Args:
            image, image_sizes: as in `forward`.

        Returns:
            (B, 1, H / stride, W / stride), in [0, 1].
        """
        _, mask_logits = self.attended(image, image_sizes)
        return mask_logits.float().sigmoid()


class ChannelProjection(_OfOneMap):
    """A 1x1 convolution in the place of MAMA, so that all heads stay the same in ablations.

    NOT IN PAPER: Table II does not say what feeds the RPN where MAMA is absent.
    """

    def __init__(
        self,
        *,
        bottom_up: Backbone,
        in_feature: str = "p3",
        out_channels: int = 1024,
        norm: str = "",
    ):
        """
        Args:
            bottom_up: gives the merged map under the name `in_feature`.
            in_feature: which map to project; the output keeps the name.
            out_channels: channels that MAMA would give.
            norm: normalisation of the projection; "" for none.
        """
        super().__init__()
        shape = bottom_up.output_shape()[in_feature]
        self.bottom_up = bottom_up
        self.in_feature = in_feature
        self.project = _projection(shape.channels, out_channels, norm)
        self._output_shape = ShapeSpec(channels=out_channels, stride=shape.stride)

    def forward(self, image: Tensor, image_sizes: SizesHW = None) -> dict[str, Tensor]:
        """Same as `MaskAwareMultiAttention.forward`."""
        merged = run_backbone(self.bottom_up, image, image_sizes)[self.in_feature]
        return {self.in_feature: self.project(merged)}


def _projection(in_channels: int, out_channels: int, norm: str) -> Conv2d:
    normalisation = get_norm(norm, out_channels)
    conv = Conv2d(in_channels, out_channels, 1, bias=normalisation is None, norm=normalisation)
    weight_init.c2_xavier_fill(conv)
    return conv
