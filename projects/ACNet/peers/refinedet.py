"""RefineDet: boxes are found and shifted once without a class, and then once more with one.

ARM, its anchor refinement module, is SSD of one class. ODM, the object detection module, is SSD
over the anchors as ARM left them, on levels that transfer connections make of ARM's.

Shape shorthand: as in `single_shot`.
"""

import torch.nn.functional as F
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.structures import ImageList, Instances
from torch import Tensor, nn

from .single_shot import IGNORED, SSD, SSDHead, multi_box_loss
from .vgg import conv_norm_relu, xavier

__all__ = ["RefineDet", "RefineDetHead", "TransferConnection"]


class TransferConnection(nn.Module):
    """Turns a level of ARM into one of ODM, with what the coarser one of ODM knows.

    Reference: Zhang et al., RefineDet, CVPR 2018 ([25] in the paper's Table IV), Fig. 2.
    """

    def __init__(self, *, in_channels: int, channels: int, is_coarsest: bool, norm: str = ""):
        """
        Args:
            in_channels: of ARM's level.
            channels: of all levels of ODM.
            is_coarsest: there is no level behind this one.
            norm: of the convolutions.
        """
        super().__init__()
        self.before = nn.Sequential(
            conv_norm_relu(in_channels, channels, 3, norm=norm),
            conv_norm_relu(channels, channels, 3, norm=norm, activation=None),
        )
        self.enlarge = None if is_coarsest else nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.after = conv_norm_relu(channels, channels, 3, norm=norm)
        xavier(self)

    def forward(self, level: Tensor, coarser: Tensor | None) -> Tensor:
        """Return (B, channels, H, W)."""
        level = self.before(level)
        if self.enlarge is not None:
            height, width = level.shape[2:]  # an odd one is half of the coarser one's, rounded
            level = level + self.enlarge(coarser)[..., :height, :width]
        return self.after(F.relu(level))


class RefineDetHead(nn.Module):
    """Both modules: logits and deltas of ARM, then those of ODM."""

    def __init__(
        self,
        *,
        in_channels: list[int],
        num_anchors: list[int],
        num_classes: int,
        channels: int = 256,
        norm: str = "",
    ):
        """
        Args:
            in_channels, num_anchors, num_classes: as for `SSDHead`.
            channels: of the levels of ODM.
            norm: of the transfer connections.
        """
        super().__init__()
        self.arm = SSDHead(in_channels=in_channels, num_anchors=num_anchors, num_classes=1)
        self.transfers = nn.ModuleList(
            TransferConnection(
                in_channels=count,
                channels=channels,
                is_coarsest=index == len(in_channels) - 1,
                norm=norm,
            )
            for index, count in enumerate(in_channels)
        )
        self.odm = SSDHead(
            in_channels=[channels] * len(in_channels),
            num_anchors=num_anchors,
            num_classes=num_classes,
        )

    def forward(self, features: list[Tensor]) -> list[list[Tensor]]:
        """Return ARM's logits and deltas, and ODM's."""
        transferred: list[Tensor] = []
        for transfer, level in zip(reversed(self.transfers), reversed(features), strict=True):
            coarser = transferred[-1] if transferred else None
            transferred.append(transfer(level, coarser))
        return [*self.arm(features), *self.odm(transferred[::-1])]


@META_ARCH_REGISTRY.register()
class RefineDet(SSD):
    """`SSD` in two steps.

    Reference: as for `TransferConnection`, 3.
    """

    def __init__(self, *, objectness_threshold: float = 0.01, **kwargs):
        """
        Args:
            objectness_threshold: ODM neither learns from nor reports an anchor of which ARM gives
                an object at most this probability.
            kwargs: as for `SSD`; the head is a `RefineDetHead`.
        """
        super().__init__(**kwargs)
        self.objectness_threshold = objectness_threshold

    def forward_training(
        self,
        images: ImageList,
        features: list[Tensor],
        predictions: list[list[Tensor]],
        gt_instances: list[Instances],
    ) -> dict[str, Tensor]:
        """Return the losses of both modules."""
        arm_logits, arm_deltas, refined, objectness = self._refine(features, predictions[:2])
        anchors = self.boxes_of(features).expand_as(refined)
        arm_classes, arm_targets = self.label(anchors, gt_instances)
        is_object = arm_classes < self.num_classes
        arm = multi_box_loss(
            *(arm_logits, arm_deltas, 1 - is_object.long(), arm_targets),
            negatives_per_positive=self.negatives_per_positive,
        )
        logits, deltas = self.flat(predictions[2:])
        classes, targets = self.label(refined, gt_instances)
        is_easy = objectness <= self.objectness_threshold
        targets = targets[~is_easy[classes < self.num_classes]]
        odm = multi_box_loss(
            *(logits, deltas, classes.masked_fill(is_easy, IGNORED), targets),
            negatives_per_positive=self.negatives_per_positive,
        )
        names = ("loss_arm_cls", "loss_arm_box_reg", "loss_cls", "loss_box_reg")
        return dict(zip(names, arm + odm, strict=True))

    def forward_inference(
        self, images: ImageList, features: list[Tensor], predictions: list[list[Tensor]]
    ) -> list[Instances]:
        """Return the detections of each image, best first, in the pixels that the model saw."""
        *_, refined, objectness = self._refine(features, predictions[:2])
        logits, deltas = self.flat(predictions[2:])
        boxes = self.shift(deltas, refined)
        scores = logits.softmax(dim=2)[..., :-1]
        scores = scores * (objectness > self.objectness_threshold)[..., None]
        return [
            self._detections(*one) for one in zip(boxes, scores, images.image_sizes, strict=True)
        ]

    def _refine(
        self, features: list[Tensor], predictions: list[list[Tensor]]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return ARM's logits and deltas, (B, A, 4) anchors after it, and (B, A) objectness."""
        logits, deltas = self.flat(predictions, num_classes=1)
        anchors = self.boxes_of(features).expand(len(deltas), -1, -1)
        refined = self.shift(deltas.detach(), anchors)
        return logits, deltas, refined, logits.detach().softmax(dim=2)[..., 0]
