"""The whole detector: Fig. 1 of the paper."""

import torch
from detectron2.config import configurable
from detectron2.modeling.meta_arch import META_ARCH_REGISTRY, GeneralizedRCNN
from detectron2.structures import ImageList, Instances
from detectron2.utils.events import get_event_storage
from torch import Tensor

__all__ = ["ACNet"]


@META_ARCH_REGISTRY.register()
class ACNet(GeneralizedRCNN):
    """`GeneralizedRCNN` whose backbone may add losses of its own.

    A backbone with a method `forward_with_losses(images, gt_instances)` is supervised through it;
    any other is called as usual, so that every row of the ablations is this class. Inference is
    inherited: whatever takes a `GeneralizedRCNN` takes this.

    Reference: paper, Fig. 1, III-D.
    """

    @configurable
    def __init__(self, *, channels_last: bool = False, **kwargs):
        """
        Args:
            channels_last: give the backbone its images in this memory format. Faster together with
                a model converted to it, in mixed precision.
            kwargs: as for `GeneralizedRCNN`.
        """
        super().__init__(**kwargs)
        self.channels_last = channels_last
        if channels_last:
            self.to(memory_format=torch.channels_last)

    @classmethod
    def from_config(cls, cfg):
        return {**super().from_config(cfg), "channels_last": cfg.MODEL.ACNET.CHANNELS_LAST}

    def forward(self, batched_inputs: list[dict]) -> list[dict] | dict[str, Tensor]:
        """Same as `GeneralizedRCNN.forward`.

        Args:
            batched_inputs: one dict an image, with "image" (C, H, W) and, in training, "instances".

        Returns:
            In training the losses, among them "loss_attention"; else one {"instances"} an image.

        Raises:
            ValueError: in training, if an image comes without "instances".
        """
        if not self.training:
            return self.inference(batched_inputs)
        if not all("instances" in one for one in batched_inputs):
            raise ValueError(
                "Training needs the ground truth of every image under the key 'instances' (with no "
                "boxes where there are none). Received inputs without it; use a DatasetMapper with "
                "is_train=True, or call model.eval()."
            )
        images = self.preprocess_image(batched_inputs)
        gt_instances = [one["instances"].to(self.device) for one in batched_inputs]
        features, attention_losses = self._extract_features(images, gt_instances)
        proposals, proposal_losses = self.proposal_generator(images, features, gt_instances)
        _, detector_losses = self.roi_heads(images, features, proposals, gt_instances)
        if self.vis_period > 0 and get_event_storage().iter % self.vis_period == 0:
            self.visualize_training(batched_inputs, proposals)
        return {**detector_losses, **proposal_losses, **attention_losses}  # Eq. (6)

    def _extract_features(
        self, images: ImageList, gt_instances: list[Instances]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        if hasattr(self.backbone, "forward_with_losses"):
            return self.backbone.forward_with_losses(images, gt_instances)
        return self.backbone(images.tensor), {}

    def preprocess_image(self, batched_inputs: list[dict]) -> ImageList:
        """Normalise, pad and batch the images, in the memory format that the model was made for."""
        images = super().preprocess_image(batched_inputs)
        if self.channels_last:
            images.tensor = images.tensor.contiguous(memory_format=torch.channels_last)
        return images
