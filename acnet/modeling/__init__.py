"""The paper's figures, box by box; importing this registers the parts with detectron2."""

from acnet.modeling.composite_backbone import CompositeConnection
from acnet.modeling.heads import SoftNMSOutputLayers, SoftNMSRes5ROIHeads, SoftNMSROIHeads
from acnet.modeling.yaml_config import add_acnet_config, build_acnet_backbone

from .attention_blocks import (
    ContextAttention,
    MaskAttention,
    StreamlinedInception,
    mask_attention_loss,
)
from .composite_backbone import CompositeResNet, RefinedResNet
from .dynamic_context_enhancement import DynamicContextEnhancement, DynamicFeatureFusion
from .feature_refinement import FeatureRefinement
from .mask_aware_multi_attention import ChannelProjection, MaskAwareMultiAttention
from .meta_arch import ACNet, ACNetWithTTA
from .poolers import Float32ROIPooler
from .resnet import make_resnet_stage, make_resnet_stages
from .rfcn import PositionSensitiveOutputLayers, RFCNROIHeads
from .rpn import BestFirstRPN, Float32RPNHead

__all__ = [
    "ACNet",
    "ACNetWithTTA",
    "BestFirstRPN",
    "ChannelProjection",
    "CompositeConnection",
    "CompositeResNet",
    "ContextAttention",
    "DynamicContextEnhancement",
    "DynamicFeatureFusion",
    "FeatureRefinement",
    "Float32ROIPooler",
    "Float32RPNHead",
    "MaskAttention",
    "MaskAwareMultiAttention",
    "PositionSensitiveOutputLayers",
    "RFCNROIHeads",
    "RefinedResNet",
    "SoftNMSOutputLayers",
    "SoftNMSROIHeads",
    "SoftNMSRes5ROIHeads",
    "StreamlinedInception",
    "add_acnet_config",
    "build_acnet_backbone",
    "make_resnet_stage",
    "make_resnet_stages",
    "mask_attention_loss",
]
