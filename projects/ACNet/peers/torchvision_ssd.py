"""Weights of torchvision's SSD300 as those of `voc07/ssd300_vgg16`."""

import re

from torch import Tensor

__all__ = ["weights_from_torchvision"]

_RULES = (
    (r"backbone\.features\.", "backbone.bottom_up.features."),
    (r"backbone\.scale_weight", "backbone.bottom_up.l2_scales.conv4_3"),
    (r"backbone\.extra\.0\.7\.1\.", "backbone.bottom_up.conv6."),
    (r"backbone\.extra\.0\.7\.3\.", "backbone.bottom_up.conv7."),
    # Behind conv4_3 its layers are counted anew: 0 is the pooling, 23 in VGG.
    (r"backbone\.extra\.0\.(\d)\.", lambda m: f"backbone.bottom_up.features.{int(m[1]) + 23}."),
    (
        r"backbone\.extra\.(\d)\.(\d)\.",
        lambda m: f"backbone.levels.{int(m[1]) - 1}.{int(m[2]) // 2}.",
    ),
    (r"head\.classification_head\.module_list\.", "head.scores."),
    (r"head\.regression_head\.module_list\.", "head.boxes."),
)


def weights_from_torchvision(weights: dict[str, Tensor], num_classes: int) -> dict[str, Tensor]:
    """Rename weights of `torchvision.models.detection.ssd300_vgg16`.

    Its background is the first class, detectron2's the last, so scores change their order too. Its
    pixels are RGB with means of 122.99925, 116.9991 and 103.9992, and deviations of 1.

    Args:
        weights: its `state_dict()`.
        num_classes: without the background.

    Example:
        model.load_state_dict(weights_from_torchvision(torch.load("ssd300_vgg16_coco.pth"), 90))
    """
    renamed = {}
    for name, tensor in weights.items():
        for pattern, replacement in _RULES:
            name, changes = re.subn(f"^{pattern}", replacement, name)
            if changes:
                break
        if name.startswith("head.scores."):
            by_class = tensor.unflatten(0, (-1, num_classes + 1))
            tensor = by_class.roll(-1, dims=1).flatten(0, 1)
        renamed[name] = tensor
    return renamed
