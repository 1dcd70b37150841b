"""Pure tensor functions: tensors in, tensors out, nothing of detectron2."""

from .box_mask import boxes_to_mask
from .nms import nms
from .soft_nms import soft_nms

__all__ = ["boxes_to_mask", "nms", "soft_nms"]
