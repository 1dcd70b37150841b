"""Pure tensor functions: tensors in, tensors out, nothing of detectron2."""

from .box_mask import boxes_to_mask
from .nms import nms
from .roi_align import roi_align
from .soft_nms import soft_nms, soft_nms_padded

__all__ = ["boxes_to_mask", "nms", "roi_align", "soft_nms", "soft_nms_padded"]
