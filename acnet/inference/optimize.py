"""A detector as it computes fastest: what training needs and prediction does not is taken out.

The weights on disk and their meaning stay as they are. Each change is a switch, so that each can be
measured (benchmarks/inference.py) and tested on its own.
"""

import copy
import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from detectron2.modeling.meta_arch import GeneralizedRCNN
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.proposal_generator.rpn import StandardRPNHead
from detectron2.modeling.roi_heads import Res5ROIHeads, StandardROIHeads
from torch import nn

from acnet.inference.optimize_folding import fold_norms
from acnet.inference.optimize_fusion import can_fuse, fuse_convolutions
from acnet.inference.optimize_roi import ChunkedStage, skip_unread_bins
from acnet.modeling import ACNet, BestFirstRPN, Float32RPNHead, SoftNMSRes5ROIHeads

__all__ = ["NOTHING", "Optimizations", "optimize_for_inference"]

_RES5_HEADS = (Res5ROIHeads, SoftNMSRes5ROIHeads)  # other subclasses use res5 in another way

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Optimizations:
    """What to change. A switch has no effect where the device or the model has no use for it.

    Args:
        fold_norms: batch normalisation becomes part of the convolution before it.
        cast_weights: convolutions and the layers of box heads keep their weights in the precision
            that they compute with, instead of converting them at every call.
        fuse: on a CPU, convolutions bring bias, residual and ReLU along, and work in channels_last.
        best_proposals_first: the RPN decodes and compares only what it may keep.
        skip_unread_bins: on a CPU, RoIAlign leaves out bins that res5 as a box head strides over.
        chunk_boxes: on a CPU, res5 as a box head takes a few boxes at a time.
        compile: `torch.compile` the backbone. Not by default: it needs a C++ compiler, and a
            quarter of a minute for each new size of picture, and gains a tenth.
    """

    fold_norms: bool = True
    cast_weights: bool = True
    fuse: bool = True
    best_proposals_first: bool = True
    skip_unread_bins: bool = True
    chunk_boxes: bool = True
    compile: bool = False


NOTHING = Optimizations(**{field.name: False for field in dataclasses.fields(Optimizations)})


def optimize_for_inference(
    model: nn.Module,
    *,
    dtype: torch.dtype | None = None,
    optimizations: Optimizations | None = None,
) -> nn.Module:
    """Make a faster copy of a detector, for prediction only.

    Args:
        model: in evaluation mode, on its device; it is left as it is. What is no `GeneralizedRCNN`,
            as `ACNet` is, gets its normalisation folded and no more.
        dtype: what autocast will compute with around the copy; None for float32 without autocast.
        optimizations: by default `Optimizations()`.

    Returns:
        The copy, which gives the same detections but for rounding, takes the same inputs and has
        the same parts by name, so `backbone.saliency` works. It cannot be trained, and its weights
        are not to be saved.

    Raises:
        ValueError: the model is in training mode.
    """
    if model.training:
        raise ValueError(
            "A model is optimised for prediction, with its statistics fixed. Received one in "
            "training mode; call model.eval() first."
        )
    chosen = Optimizations() if optimizations is None else optimizations
    model = copy.deepcopy(model).requires_grad_(False)
    on_cpu = next(model.parameters()).device.type == "cpu"
    dtype = torch.float32 if dtype is None else dtype
    if chosen.fold_norms:
        logger.debug("normalisation of %d layers folded", fold_norms(model))
    if not isinstance(model, GeneralizedRCNN):
        return model
    if chosen.best_proposals_first:
        _rank_first(model)
    has_res5 = on_cpu and type(model.roi_heads) in _RES5_HEADS
    if chosen.skip_unread_bins and has_res5:
        skip_unread_bins(model.roi_heads)
    fuses = chosen.fuse and on_cpu and can_fuse() and dtype in (torch.float32, torch.bfloat16)
    if fuses and isinstance(model, ACNet):
        model.channels_last = True  # the picture is brought into the format once, not by each stem
    _prepare_layers(model, dtype, fuses=fuses, casts=chosen.cast_weights)
    if chosen.chunk_boxes and has_res5:
        model.roi_heads.res5 = ChunkedStage(model.roi_heads.res5)
    if chosen.compile:
        model.backbone.compile()
    return model


def _rank_first(model: GeneralizedRCNN) -> None:
    """Give detectron2's own RPN the methods of ours; one of another kind stays as it is."""
    if type(model.proposal_generator) is RPN:
        model.proposal_generator.__class__ = BestFirstRPN


def _prepare_layers(
    model: GeneralizedRCNN, dtype: torch.dtype, *, fuses: bool, casts: bool
) -> None:
    """Fuse or cast the layers that follow autocast; box predictors stay in float32."""
    for owner, name, layers_dtype in _parts(model, dtype):
        part = getattr(owner, name)
        if fuses:
            part = fuse_convolutions(part, layers_dtype)
            setattr(owner, name, part)
        if casts and layers_dtype != torch.float32:
            _cast(part, layers_dtype)


def _parts(
    model: GeneralizedRCNN, dtype: torch.dtype
) -> Iterator[tuple[nn.Module, str, torch.dtype]]:
    """Owner, name and precision of what may be prepared; other kinds of parts stay as they are."""
    yield model, "backbone", dtype
    head = getattr(model.proposal_generator, "rpn_head", None)
    if isinstance(head, StandardRPNHead):
        yield head, "conv", dtype
        predictions = torch.float32 if isinstance(head, Float32RPNHead) else dtype
        yield head, "objectness_logits", predictions
        yield head, "anchor_deltas", predictions
    if type(model.roi_heads) in _RES5_HEADS:
        yield model.roi_heads, "res5", dtype
    elif isinstance(model.roi_heads, StandardROIHeads):
        yield model.roi_heads, "box_head", dtype


def _cast(part: nn.Module, dtype: torch.dtype) -> None:
    for layer in part.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.data = layer.weight.data.to(dtype)
            if layer.bias is not None:
                layer.bias.data = layer.bias.data.to(dtype)
