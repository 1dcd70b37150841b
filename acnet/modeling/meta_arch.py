"""The whole detector: Fig. 1 of the paper."""

import torch
from detectron2.config import configurable
from detectron2.modeling.meta_arch import META_ARCH_REGISTRY, GeneralizedRCNN
from detectron2.structures import ImageList, Instances
from detectron2.utils.events import get_event_storage
from torch import Tensor

from .own_cells import run_backbone

__all__ = ["ACNet"]


@META_ARCH_REGISTRY.register()
class ACNet(GeneralizedRCNN):
    """`GeneralizedRCNN` whose backbone may add losses of its own.

    A backbone with a method `forward_with_losses(images, gt_instances)` is supervised through it;
    any other is called as usual, so that every row of the ablations is this class. Whatever takes a
    `GeneralizedRCNN` takes this.

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
        return self.extract_features(images), {}

    def extract_features(self, images: ImageList) -> dict[str, Tensor]:
        """The maps of the backbone, in which pictures of other sizes or padding have no share."""
        return run_backbone(self.backbone, images.tensor, images.image_sizes)

    def inference(
        self,
        batched_inputs: list[dict],
        detected_instances: list[Instances] | None = None,
        do_postprocess: bool = True,
    ) -> list[dict] | list[Instances]:
        """Same as `GeneralizedRCNN.inference`, but a picture's answer is the one it gets alone.

        Pictures that are padded to different sizes go through the model one size after the other,
        which takes no longer: nothing is computed on padding.
        """
        results: list[dict | Instances | None] = [None] * len(batched_inputs)
        for indices in self.equal_sizes(batched_inputs):
            inputs = [batched_inputs[index] for index in indices]
            known = detected_instances and [detected_instances[index] for index in indices]
            found = self._infer(inputs, known)
            if do_postprocess:
                found = self._postprocess(found, inputs, [one.image_size for one in found])
            for index, one in zip(indices, found, strict=True):
                results[index] = one
        return results

    def equal_sizes(self, batched_inputs: list[dict]) -> list[list[int]]:
        """The indices of the pictures that are padded to one size where they are alone, by size."""
        divisor = max(self.backbone.size_divisibility, 1)
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, one in enumerate(batched_inputs):
            cells = tuple(-(-length // divisor) for length in one["image"].shape[-2:])
            groups.setdefault(cells, []).append(index)
        return list(groups.values())

    def _infer(self, inputs: list[dict], known: list[Instances] | None) -> list[Instances]:
        images = self.preprocess_image(inputs)
        features = self.extract_features(images)
        if known is not None:
            known = [one.to(self.device) for one in known]
            return self.roi_heads.forward_with_given_boxes(features, known)
        proposals, _ = self.proposal_generator(images, features, None)
        return self.roi_heads(images, features, proposals, None)[0]

    def preprocess_image(self, batched_inputs: list[dict]) -> ImageList:
        """Normalise, pad and batch the images, in the memory format that the model was made for."""
        images = super().preprocess_image(batched_inputs)
        if self.channels_last:
            images.tensor = images.tensor.contiguous(memory_format=torch.channels_last)
        return images
