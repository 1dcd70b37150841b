"""How large a detector is and how much it computes, part by part, without computing it."""

from collections import Counter
from dataclasses import dataclass

import torch
from detectron2.modeling.backbone import FPN, Backbone, ResNet
from torch import Tensor, nn

from .composite_backbone import CompositeResNet
from .mask_aware_multi_attention import MaskAwareMultiAttention
from .meta_arch import ACNet
from .rfcn import RFCNROIHeads

__all__ = ["PartComplexity", "count_complexity", "count_macs_by_layer"]


@dataclass(frozen=True)
class PartComplexity:
    """Size and work of one part of the paper's Fig. 1.

    Args:
        name: of the part.
        parameters: learnable and frozen ones; what two parts share counts for the first.
        macs: multiply-accumulates of its convolutions and linear layers.
    """

    name: str
    parameters: int
    macs: int


def count_complexity(
    model: ACNet, *, image_hw: tuple[int, int], num_proposals: int
) -> list[PartComplexity]:
    """Count parameters and multiply-accumulates of a detector for one image.

    Normalisations, activations, resizing, the product of features and weights in the context
    attention block, and Soft-NMS are not counted: together they are below 1 %.

    Args:
        model: on torch's meta device, so that nothing is computed:
            `with torch.device("meta"): model = instantiate(cfg.model)`.
        image_hw: height and width in pixels, divisible by the backbone's `size_divisibility`.
        num_proposals: boxes that reach the ROI heads.

    Returns:
        The parts in the order of the data, those that the model has.
    """
    macs = count_macs_by_layer(model, image_hw, num_proposals)
    counted: set[nn.Module | nn.Parameter] = set()
    parts = []
    for name, module in _named_parts(model).items():
        parameters = set(module.parameters()) - counted
        layers = set(module.modules()) - counted
        counted |= parameters | layers
        parts.append(
            PartComplexity(
                name,
                sum(parameter.numel() for parameter in parameters),
                sum(macs[layer] for layer in layers),
            )
        )
    return parts


def _named_parts(model: ACNet) -> dict[str, nn.Module]:
    """The boxes of Fig. 1, or of a detector that it is compared with, in the order of the data."""
    return {
        **_backbone_parts(model.backbone),
        "RPN": model.proposal_generator.rpn_head,
        "ROI heads": model.roi_heads,
    }


def _backbone_parts(backbone: Backbone) -> dict[str, nn.Module]:
    if isinstance(backbone, ResNet):
        return {"ResNet": backbone}
    if isinstance(backbone, FPN):
        return {"ResNet": backbone.bottom_up, "FPN": backbone}
    return _acnet_parts(backbone)


def _acnet_parts(attention: Backbone) -> dict[str, nn.Module]:
    merged = attention.bottom_up
    levels = merged.bottom_up
    parts: dict[str, nn.Module] = {}
    if isinstance(levels, CompositeResNet):
        parts["lead ResNet"] = levels.lead
        parts["assistant ResNet"] = levels.assistant
    else:
        parts["ResNet"] = getattr(levels, "bottom_up", levels)
    if hasattr(levels, "connections"):
        parts["connections (FRM or plain)"] = levels.connections
    parts["DCE: resizing"] = merged.resize
    if len(merged.enhance):
        parts["DCE: dynamic fusion"] = merged.enhance
    if isinstance(attention, MaskAwareMultiAttention):
        parts["MAMA: inception"] = attention.inception
        parts["MAMA: mask attention"] = attention.mask_attention
        parts["MAMA: context attention"] = attention.context_attention
    else:
        parts["projection"] = attention.project
    return parts


def count_macs_by_layer(
    model: ACNet, image_hw: tuple[int, int], num_proposals: int, *, training: bool = False
) -> Counter[nn.Module]:
    """Count the multiply-accumulates of every convolution and linear layer, over one pass.

    Args:
        model, image_hw, num_proposals: as for `count_complexity`.
        training: count the backward pass too. It costs as much again for the gradient of the
            weights, and as much for that of the input; frozen layers need less, and those with
            nothing to train before them least.

    Returns:
        By layer; a layer that runs twice counts twice.
    """
    macs: Counter[nn.Module] = Counter()

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # Each output number is a dot product with the weights of its channel.
        gradients = layer.weight.requires_grad + inputs[0].requires_grad if training else 0
        macs[layer] += output.numel() * layer.weight[0].numel() * (1 + gradients)

    layers = [layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    handles = [layer.register_forward_hook(count) for layer in layers]
    with torch.set_grad_enabled(training):
        features = model.eval().backbone(torch.empty(1, 3, *image_hw, device=model.device))
        rpn = model.proposal_generator
        rpn.rpn_head([features[name] for name in rpn.in_features])
        _run_roi_heads(model.roi_heads, features, num_proposals)
    for handle in handles:
        handle.remove()
    return macs


def _run_roi_heads(heads: nn.Module, features: dict[str, Tensor], num_proposals: int) -> None:
    """The ROI heads as far as they have weights; pooling has none, and needs boxes."""
    if isinstance(heads, RFCNROIHeads):
        hidden = heads.compute_hidden(features)
        heads.box_predictor.cls_score(hidden)  # once an image, however many boxes vote
        heads.box_predictor.bbox_pred(hidden)
        return
    feature = features[heads.in_features[0]]
    uses_res5 = hasattr(heads, "res5")
    size = (heads.pooler if uses_res5 else heads.box_pooler).output_size
    pooled = feature.new_empty(num_proposals, feature.shape[1], *size)
    pooled.requires_grad_(feature.requires_grad)
    box_features = heads.res5(pooled).mean(dim=(2, 3)) if uses_res5 else heads.box_head(pooled)
    heads.box_predictor(box_features)
