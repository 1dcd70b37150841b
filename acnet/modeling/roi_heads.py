"""ROI heads of detectron2 with Soft-NMS and boxes that stay in float32.

For LazyConfig these are detectron2's heads with the parts of ours put in. The classes exist for
yaml users, whose heads build their own parts.
"""

from detectron2.config import configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, Res5ROIHeads, StandardROIHeads

from acnet.modeling.heads import SoftNMSOutputLayers

from .full_precision import Float32ROIPooler

__all__ = ["SoftNMSROIHeads", "SoftNMSRes5ROIHeads"]


@ROI_HEADS_REGISTRY.register()
class SoftNMSRes5ROIHeads(Res5ROIHeads):
    """Box head: the last stage of the ResNet. The paper's size, which uses all of its weights."""

    @configurable
    def __init__(self, **kwargs):
        """Arguments as for `Res5ROIHeads`; `res5` may be a list of blocks."""
        super().__init__(**kwargs)

    @classmethod
    def from_config(cls, cfg, input_shape):
        parts = super().from_config(cfg, input_shape)
        stride = input_shape[parts["in_features"][0]].stride
        parts["pooler"] = _pooler(cfg, stride)
        channels = parts["res5"][-1].out_channels
        parts["box_predictor"] = SoftNMSOutputLayers(cfg, ShapeSpec(channels=channels))
        return parts


@ROI_HEADS_REGISTRY.register()
class SoftNMSROIHeads(StandardROIHeads):
    """Box head: fully connected layers. For small backbones without a pretrained last stage."""

    @configurable
    def __init__(self, **kwargs):
        """Arguments as for `StandardROIHeads`."""
        super().__init__(**kwargs)

    @classmethod
    def _init_box_head(cls, cfg, input_shape):
        parts = super()._init_box_head(cfg, input_shape)
        stride = input_shape[parts["box_in_features"][0]].stride
        parts["box_pooler"] = _pooler(cfg, stride)
        parts["box_predictor"] = SoftNMSOutputLayers(cfg, parts["box_head"].output_shape)
        return parts


def _pooler(cfg, stride: int) -> Float32ROIPooler:
    return Float32ROIPooler(
        output_size=cfg.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION,
        scales=(1.0 / stride,),
        sampling_ratio=cfg.MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO,
        pooler_type=cfg.MODEL.ROI_BOX_HEAD.POOLER_TYPE,
    )
