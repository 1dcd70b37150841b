"""What programs of others call by name keeps its place and its arguments."""

import inspect

import pytest
from detectron2.modeling import BACKBONE_REGISTRY, META_ARCH_REGISTRY, ROI_HEADS_REGISTRY

import acnet.modeling
from acnet.layers.box_mask import boxes_to_mask
from acnet.layers.soft_nms import soft_nms
from acnet.modeling import yaml_config

CLASSES = {
    "FeatureRefinement": ["high_channels", "low_channels", "norm", "zero_init"],
    "DynamicContextEnhancement": [
        *("bottom_up", "in_features", "reference", "out_channels", "dilations"),
        *("reduction", "enhance"),
    ],
    "StreamlinedInception": ["in_channels", "width", "norm"],
    "MaskAttention": ["in_channels", "hidden_channels"],
    "ContextAttention": ["channels", "reduction"],
}
FUNCTIONS = {
    boxes_to_mask: ["boxes_xyxy", "grid_hw", "stride"],
    soft_nms: [
        *("boxes_xyxy", "scores", "classes", "method", "iou_threshold", "sigma"),
        *("score_floor", "max_detections"),
    ],
}


@pytest.mark.parametrize("name", CLASSES)
def test_parts_of_the_model_are_built_by_keyword(name):
    given = inspect.signature(getattr(acnet.modeling, name)).parameters
    assert list(given)[: len(CLASSES[name])] == CLASSES[name]
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in given.values())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_of_boxes(function):
    assert list(inspect.signature(function).parameters) == FUNCTIONS[function]


def test_registered_for_yaml_configs():
    assert callable(yaml_config.add_acnet_config)
    assert "build_acnet_backbone" in BACKBONE_REGISTRY
    assert "ACNet" in META_ARCH_REGISTRY
    for name in ("SoftNMSROIHeads", "SoftNMSRes5ROIHeads", "RFCNROIHeads"):
        assert name in ROI_HEADS_REGISTRY
