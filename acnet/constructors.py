"""What a config that came with weights may build: each constructor, with its arguments.

A config in Python is a program, and its user's choice. One that came with weights is data, so it
builds nothing but what is listed here, from arguments of the kinds and ranges that are listed here.
No argument that names a file, a function or an address is in the list. Its reader is
`acnet.safe_config`.

What an argument may be is written in kinds, see `acnet.value_kinds`.
"""

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

from acnet.errors import printable
from acnet.value_kinds import (
    COUNT,
    DATASET,
    FORMAT,
    LARGE,
    LEVEL,
    LEVELS,
    MANY,
    NORM,
    POSITIVE,
    SHARE,
    SIDE,
    SIGNED,
    SMALL,
    STAGE,
)

# fmt: off
_MODEL = {
    "backbone": "backbone", "proposal_generator": "proposals", "roi_heads": "roi_heads",
    "pixel_mean": [(-255.0, 255.0)], "pixel_std": [(0.001, 255.0)], "input_format": FORMAT,
    "vis_period": LARGE,
}
_RPN = {
    "in_features": LEVELS, "head": "rpn_head", "anchor_generator": "anchors",
    "anchor_matcher": "matcher", "box2box_transform": "box_transform",
    "batch_size_per_image": MANY, "positive_fraction": SHARE, "pre_nms_topk": [MANY],
    "post_nms_topk": [(1, 20_000)], "nms_thresh": SHARE, "min_box_size": POSITIVE,
    "anchor_boundary_thresh": SIGNED, "loss_weight": (POSITIVE, {"*": POSITIVE}),
    "box_reg_loss_type": {"smooth_l1", "giou", "diou", "ciou"}, "smooth_l1_beta": POSITIVE,
}
_NORMALIZER = {"box_normalizer": {"sampled", "positives"}}
_RPN_HEAD = {
    "in_channels": COUNT, "num_anchors": (1, 256), "box_dim": (4, 5), "conv_dims": [(-1, 8192)],
}
_ROI_HEADS = {
    "num_classes": (1, 10_000), "batch_size_per_image": MANY, "positive_fraction": SHARE,
    "proposal_matcher": "matcher", "proposal_append_gt": bool, "box_predictor": "predictor",
}

_RES5_HEADS = {**_ROI_HEADS, "in_features": LEVELS, "pooler": "pooler", "res5": "stage"}
_BOX_HEADS = {
    **_ROI_HEADS, "box_in_features": LEVELS, "box_pooler": "pooler", "box_head": "box_head",
    "train_on_pred_boxes": bool,
}
_POOLER = {
    "output_size": (1, 28), "scales": [(0.0, 1.0)], "sampling_ratio": (0, 8),
    "pooler_type": {"ROIAlign", "ROIAlignV2", "ROIPool"}, "canonical_box_size": SIDE,
    "canonical_level": SMALL,
}
_PREDICTOR = {
    "input_shape": "shape", "box2box_transform": "box_transform", "num_classes": (1, 10_000),
    "test_score_thresh": SHARE, "test_nms_thresh": SHARE, "test_topk_per_image": (1, 20_000),
    "cls_agnostic_bbox_reg": bool, "smooth_l1_beta": POSITIVE,
    "box_reg_loss_type": {"smooth_l1", "giou", "diou", "ciou"},
    "loss_weight": (POSITIVE, {"*": POSITIVE}),
}
_SOFT_NMS = {
    **_PREDICTOR, **_NORMALIZER, "soft_nms_method": {"linear", "gaussian"},
    "soft_nms_sigma": (0.001, 100.0), "score_floor": SHARE,
}
_VOTES = {**_SOFT_NMS, "num_bins": (1, 28), "sampling_ratio": (0, 8), "vote_gain": POSITIVE}
_MAPPER = {
    "is_train": bool, "augmentations": ["augmentation"], "image_format": FORMAT,
    "use_instance_mask": bool, "recompute_boxes": bool,
    "instance_mask_format": {"polygon", "bitmask"},
}

_ONE_STAGE = {
    "backbone": "backbone", "head": "dense_head", "default_boxes": "anchors",
    "num_classes": (1, 10_000), "pixel_mean": [(-255.0, 255.0)], "pixel_std": [(0.001, 255.0)],
    "input_format": FORMAT, "iou_threshold": SHARE, "negatives_per_positive": POSITIVE,
    "test_score_thresh": SHARE, "test_nms_thresh": SHARE, "test_topk_per_class": (1, 20_000),
    "test_topk_per_image": (1, 20_000),
}
_DENSE_HEAD = {"in_channels": [COUNT], "num_anchors": [(1, 256)], "num_classes": (1, 10_000)}
_RATIO = (0.01, 100.0)
_BOXES = {"sizes": [[(1.0, 8192.0)]], "aspect_ratios": ([_RATIO], [[_RATIO]])}
_LOADER = {"dataset": "dataset", "mapper": "mapper", "num_workers": (0, 256)}
_INTENSITY = {"intensity_min": (0.0, 100.0), "intensity_max": (0.0, 100.0)}
_CURVE = {"start_value": POSITIVE, "end_value": POSITIVE}
_OPTIMIZER = {
    "params": "parameters", "lr": (0.0, 1e3), "weight_decay": (0.0, 1e3), "maximize": bool,
    "foreach": (bool, None), "fused": (bool, None),
}

# By the name that a saved config gets: its role, and its arguments.
CONSTRUCTORS: dict[str, tuple[str, dict[str, Any]]] = {
    "acnet.modeling.ACNet": ("model", {**_MODEL, "channels_last": bool}),
    "detectron2.modeling.GeneralizedRCNN": ("model", _MODEL),
    "acnet.modeling.CompositeResNet": ("backbone", {"lead": "backbone", "assistant": "backbone",
        "out_features": LEVELS, "connection": {"plain", "refine"}, "norm": NORM,
        "zero_init": bool}),
    "acnet.modeling.RefinedResNet": ("backbone", {"bottom_up": "backbone", "out_features": LEVELS,
        "norm": NORM, "zero_init": bool}),
    "acnet.modeling.DynamicContextEnhancement": ("backbone", {"bottom_up": "backbone",
        "in_features": LEVELS, "reference": LEVEL, "out_channels": COUNT, "dilations": [(1, 64)],
        "reduction": COUNT, "enhance": bool, "init": {"xavier", "identity"}, "shortcut": bool}),
    "acnet.modeling.MaskAwareMultiAttention": ("backbone", {"bottom_up": "backbone",
        "in_feature": LEVEL, "width": (0.001, 8.0), "mask_channels": COUNT,
        "context_reduction": COUNT, "norm": NORM, "gate": {"product", "sum", "residual", "centred"},
        "shortcut": bool, "loss_weight": POSITIVE}),
    "acnet.modeling.ChannelProjection": ("backbone", {"bottom_up": "backbone", "in_feature": LEVEL,
        "out_channels": COUNT, "norm": NORM}),
    "detectron2.modeling.FPN": ("backbone", {"bottom_up": "backbone", "in_features": LEVELS,
        "out_channels": COUNT, "norm": NORM, "top_block": ("top_block", None),
        "fuse_type": {"sum", "avg"}, "square_pad": (0, 8192)}),
    "detectron2.modeling.backbone.fpn.LastLevelMaxPool": ("top_block", {}),
    "detectron2.modeling.ResNet": ("backbone", {"stem": "stem", "stages": ("stages", ["stage"]),
        "num_classes": ((1, 10_000), None), "out_features": (LEVELS, None), "freeze_at": (0, 5)}),
    "detectron2.modeling.backbone.BasicStem": ("stem", {"in_channels": (1, 64),
        "out_channels": COUNT, "norm": NORM}),
    "acnet.modeling.make_resnet_stages": ("stages", {"depth": (18, 152), "num_stages": (1, 4),
        **STAGE}),
    "acnet.modeling.make_resnet_stage": ("stage", {"depth": (18, 152), "stage": (2, 5), **STAGE}),
    "detectron2.modeling.ResNet.make_default_stages": ("stages", {"depth": (18, 152), "norm": NORM,
        "stride_in_1x1": bool}),
    "acnet.modeling.BestFirstRPN": ("proposals", {**_RPN, **_NORMALIZER}),
    "detectron2.modeling.proposal_generator.RPN": ("proposals", _RPN),
    "acnet.modeling.Float32RPNHead": ("rpn_head", _RPN_HEAD),
    "detectron2.modeling.proposal_generator.StandardRPNHead": ("rpn_head", _RPN_HEAD),
    "detectron2.modeling.anchor_generator.DefaultAnchorGenerator": ("anchors", {**_BOXES,
        "strides": [(1, 1024)], "offset": SHARE}),
    "detectron2.modeling.matcher.Matcher": ("matcher", {"thresholds": [SHARE], "labels": [(-1, 1)],
        "allow_low_quality_matches": bool}),
    "detectron2.modeling.box_regression.Box2BoxTransform": ("box_transform",
        {"weights": [(0.001, 1e4)], "scale_clamp": (0.0, 100.0)}),
    "acnet.modeling.SoftNMSROIHeads": ("roi_heads", _BOX_HEADS),
    "detectron2.modeling.roi_heads.StandardROIHeads": ("roi_heads", _BOX_HEADS),
    "acnet.modeling.SoftNMSRes5ROIHeads": ("roi_heads", _RES5_HEADS),
    "detectron2.modeling.roi_heads.Res5ROIHeads": ("roi_heads", _RES5_HEADS),
    "acnet.modeling.RFCNROIHeads": ("roi_heads", {**_ROI_HEADS, "in_features": LEVELS,
        "res5": "stage", "hidden_channels": COUNT}),
    "acnet.modeling.Float32ROIPooler": ("pooler", _POOLER),
    "detectron2.modeling.poolers.ROIPooler": ("pooler", _POOLER),
    "acnet.modeling.SoftNMSOutputLayers": ("predictor", _SOFT_NMS),
    "detectron2.modeling.roi_heads.FastRCNNOutputLayers": ("predictor", _PREDICTOR),
    "acnet.modeling.PositionSensitiveOutputLayers": ("predictor", _VOTES),
    "detectron2.modeling.roi_heads.FastRCNNConvFCHead": ("box_head", {"input_shape": "shape",
        "conv_dims": [COUNT], "fc_dims": [COUNT], "conv_norm": NORM}),
    "detectron2.layers.ShapeSpec": ("shape",
        dict.fromkeys(("channels", "height", "width", "stride"), (COUNT, None))),
    "acnet.peers.SSD": ("model", _ONE_STAGE),
    "acnet.peers.DES": ("model", {**_ONE_STAGE, "segmentation_weight": POSITIVE}),
    "acnet.peers.RefineDet": ("model", {**_ONE_STAGE, "objectness_threshold": SHARE}),
    "acnet.peers.VGG16": ("backbone", {"out_features": [{"conv4_3", "conv5_3", "conv7"}],
        "l2_scales": ({"*": POSITIVE}, None), "pool5_stride": (1, 2), "freeze_at": (0, 5)}),
    "acnet.peers.ExtraLevels": ("backbone", {"bottom_up": "backbone", "hidden_channels": [COUNT],
        "out_channels": [COUNT], "strides": [(1, 2)], "paddings": [(0, 2)],
        "kernel_sizes": ([(1, 7)], None), "norm": NORM}),
    "acnet.peers.ReceptiveFieldLevels": ("backbone",
        {"bottom_up": "backbone", "out_channels": [COUNT], "norm": NORM}),
    "acnet.peers.DeconvolutionLevels": ("backbone",
        {"bottom_up": "backbone", "channels": COUNT, "norm": NORM}),
    "acnet.peers.DefaultBoxes": ("anchors",
        {**_BOXES, "strides": [(1.0, 8192.0)], "max_px": (1.0, 8192.0)}),
    "acnet.peers.SSDHead": ("dense_head", _DENSE_HEAD),
    "acnet.peers.DSSDHead": ("dense_head", {**_DENSE_HEAD, "channels": COUNT, "norm": NORM}),
    "acnet.peers.DESHead": ("dense_head", {**_DENSE_HEAD, "norm": NORM}),
    "acnet.peers.RefineDetHead": ("dense_head", {**_DENSE_HEAD, "channels": COUNT, "norm": NORM}),
    "acnet.peers.CoupledOutputLayers": ("predictor", {**_VOTES, "global_channels": COUNT,
        "hidden_channels": COUNT, "context_scale": (1.0, 8.0)}),
    "acnet.data.tiles.mapper.TileMapper": ("mapper", _MAPPER),
    "detectron2.data.DatasetMapper": ("mapper", _MAPPER),
    "acnet.data.scale_jitter.ScaleJitterMapper": ("mapper", {"dataset": "dataset",
        "photo_px": SIDE, "crop_px": SIDE, "scales": [(0.01, 16.0)], "image_format": FORMAT}),
    "acnet.engine.loader.build_train_loader": ("train_loader", {**_LOADER,
        "total_batch_size": COUNT, "seed": (-1, 2**63 - 1), "aspect_ratio_grouping": bool}),
    "detectron2.data.build_detection_test_loader": ("test_loader", {**_LOADER,
        "batch_size": COUNT}),
    "detectron2.data.get_detection_dataset_dicts": ("dataset", {"names": (DATASET, [DATASET]),
        "filter_empty": bool, "check_consistency": bool}),
    "detectron2.data.transforms.RandomBrightness": ("augmentation", _INTENSITY),
    "detectron2.data.transforms.RandomContrast": ("augmentation", _INTENSITY),
    "detectron2.data.transforms.RandomSaturation": ("augmentation", _INTENSITY),
    "detectron2.data.transforms.RandomLighting": ("augmentation", {"scale": POSITIVE}),
    "detectron2.data.transforms.RandomFlip": ("augmentation", {"prob": SHARE, "horizontal": bool,
        "vertical": bool}),
    "detectron2.data.transforms.RandomCrop": ("augmentation",
        {"crop_type": {"relative_range", "relative", "absolute", "absolute_range"},
        "crop_size": [(0.0, 8192.0)]}),
    "detectron2.data.transforms.RandomRotation": ("augmentation",
        {"angle": ((-360.0, 360.0), [(-360.0, 360.0)]), "expand": bool,
        "sample_style": {"range", "choice"}}),
    "detectron2.data.transforms.Resize": ("augmentation", {"shape": [SIDE], "interp": (0, 5)}),
    "detectron2.data.transforms.ResizeScale": ("augmentation", {"min_scale": (0.01, 16.0),
        "max_scale": (0.01, 16.0), "target_height": SIDE, "target_width": SIDE, "interp": (0, 5)}),
    "detectron2.data.transforms.ResizeShortestEdge": ("augmentation",
        {"short_edge_length": (SIDE, [SIDE]), "max_size": SIDE,
        "sample_style": {"range", "choice"}, "interp": (0, 5)}),
    "acnet.evaluation.build_evaluator": ("evaluator", {"dataset_name": (DATASET, [DATASET]),
        "output_dir": (re.compile(r"[^\0]{0,1000}"), None), "max_dets_per_image": (1, 100_000),
        "kind": {"lesion", "detectron2"}, "count_threshold": (SHARE, None)}),
    "detectron2.solver.WarmupParamScheduler": ("scheduler", {"scheduler": "scheduler",
        "warmup_factor": POSITIVE, "warmup_length": SHARE, "warmup_method": {"linear", "constant"},
        "rescale_interval": bool}),
    "fvcore.common.param_scheduler.CosineParamScheduler": ("scheduler", _CURVE),
    "fvcore.common.param_scheduler.LinearParamScheduler": ("scheduler", _CURVE),
    "fvcore.common.param_scheduler.MultiStepParamScheduler": ("scheduler", {"values": [POSITIVE],
        "num_updates": ((1, 10**9), None), "milestones": ([LARGE], None)}),
    "torch.optim.SGD": ("optimizer", {**_OPTIMIZER, "momentum": SHARE, "dampening": SHARE,
        "nesterov": bool}),
    "torch.optim.AdamW": ("optimizer", {**_OPTIMIZER, "betas": [SHARE], "eps": SHARE,
        "amsgrad": bool}),
    "detectron2.solver.get_default_optimizer_params": ("parameters",
        dict.fromkeys(("base_lr", "weight_decay", "weight_decay_norm", "weight_decay_bias",
        "bias_lr_factor"), (POSITIVE, None))),
}

# Arguments of earlier versions that did nothing at this value; they are left out.
WITHOUT_EFFECT = {
    "acnet.modeling.CompositeResNet": {"injection": "add", "share_stem": True},
    "acnet.modeling.MaskAwareMultiAttention": {"output_norm": ""},
}
# fmt: on

MAX_PARAMETERS = 400_000_000  # of a model: 1.6 GB
# By package and last word: modules move between versions, and the object is ours in any case.
_BY_WORD = {(name.split(".")[0], name.split(".")[-1]): name for name in CONSTRUCTORS}
_DOTTED = re.compile(r"\w{1,100}(\.\w{1,100}){1,10}", re.ASCII)
_GIVEN = {"model", "params"}  # arguments that the engine supplies


class ConfigError(Exception):
    """What is wrong with a config, and where in it."""


def known_constructor(target: Any) -> str | None:
    """Return the name in the list of constructors, whatever module a target says it is in."""
    if not isinstance(target, str) or not _DOTTED.fullmatch(target):
        return None
    words = target.split(".")
    return _BY_WORD.get((words[0], words[-1]))


def constructor_of(name: str) -> Callable:
    """Import an object of the list; a method of a class is found in its class."""
    words = name.split(".")
    depth = next((i for i, word in enumerate(words) if word[0].isupper()), len(words) - 1)
    found = importlib.import_module(".".join(words[:depth]))
    for word in words[depth:]:
        found = getattr(found, word)
    return found


def build(node: Any) -> Any:
    """Build a node of a checked config, and the nodes in it."""
    if isinstance(node, list):
        return [build(one) for one in node]
    if not isinstance(node, dict):
        return node
    built = {name: build(value) for name, value in node.items()}
    return constructor_of(built.pop("_target_"))(**built) if "_target_" in built else built


def try_to_build(content: dict[str, Any]) -> None:
    """Build the model without memory, and what takes none; neither data nor files are touched."""
    import torch

    for place, node in _nodes(content):
        missing = _missing(node)
        if missing:
            raise ConfigError(f"{place} lacks {', '.join(missing)}")
    if "lr_multiplier" in content:
        _built(content["lr_multiplier"], "lr_multiplier")
    for name, loader in content["dataloader"].items():
        mapper = loader.get("mapper") if isinstance(loader, dict) else None
        if isinstance(mapper, dict):
            place = f"dataloader.{name}.mapper.augmentations"
            _built(mapper.get("augmentations", []), place)
    with torch.device("meta"):
        model = _built(content["model"], "model")
    if model.pixel_mean.numel() != 3 or model.pixel_std.numel() != 3:
        raise ConfigError("model.pixel_mean and model.pixel_std do not have three values each")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if parameters > MAX_PARAMETERS:
        raise ConfigError(f"the model has {parameters:,} parameters, above {MAX_PARAMETERS:,}")
    fault = hasattr(model, "roi_heads") and _misfit(model)  # one-stage detectors have none
    if fault:
        raise ConfigError(fault)


def _misfit(model: Any) -> str | None:
    """Tell what of a model would compute, and at the wrong places; other misfits raise errors."""
    heads, proposals = model.roi_heads, model.proposal_generator
    try:
        strides = {name: one.stride for name, one in model.backbone.output_shape().items()}
        anchored = [strides[name] for name in proposals.in_features]
        names = getattr(heads, "box_in_features", None) or getattr(heads, "in_features", None)
        boxed = [strides[name] for name in names or [heads.in_feature]]
        pooler = getattr(heads, "pooler", None) or getattr(heads, "box_pooler", None)
        pooled = [1 / one.spatial_scale for one in pooler.level_poolers] if pooler else boxed
    except (AttributeError, LookupError, ArithmeticError) as error:
        return f"parts of the model do not fit each other ({error!r})"
    if not all(proposals.anchor_generator.num_anchors) or not anchored:
        return "there are no anchors"
    if list(proposals.anchor_generator.strides) != anchored or pooled != boxed:
        return f"anchors or pooler are for other strides than the features' {anchored}, {boxed}"
    if heads.box_predictor.num_classes != heads.num_classes:
        return f"boxes are of {heads.box_predictor.num_classes} classes and not {heads.num_classes}"
    return None


def _built(node: Any, place: str) -> Any:
    try:
        return build(node)
    except Exception as error:  # each part has its own way to say what does not fit
        reason = (str(error).splitlines() or [""])[0][:300]
        raise ConfigError(
            f"{place} cannot be built ({type(error).__name__}: {printable(reason)})"
        ) from error


def _nodes(value: Any, place: str = "") -> list[tuple[str, dict[str, Any]]]:
    if isinstance(value, list):
        return [node for i, one in enumerate(value) for node in _nodes(one, f"{place}[{i}]")]
    if not isinstance(value, dict):
        return []
    inner = [
        node for key, one in value.items() for node in _nodes(one, f"{place}.{key}".strip("."))
    ]
    return [(place, value), *inner] if "_target_" in value else inner


def _missing(node: dict[str, Any]) -> list[str]:
    parameters = inspect.signature(constructor_of(node["_target_"])).parameters.values()
    required = [
        one.name
        for one in parameters
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    return [name for name in required if name not in node and name not in _GIVEN]
