"""Normalisation that is a constant factor and offset, moved into the convolution before it."""

import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from torch import Tensor, nn

__all__ = ["fold_norms", "scale_and_shift"]

_CONSTANT_NORMS = (FrozenBatchNorm2d, nn.modules.batchnorm._BatchNorm)


@torch.no_grad()
def fold_norms(model: nn.Module) -> int:
    """Fold the batch normalisation of detectron2's `Conv2d` layers into their weights, in place.

    `norm(conv(x))` is one affine map while the statistics stand still, so the outputs are the
    same but for rounding. Layers of other kinds of normalisation stay as they are.

    Args:
        model: in evaluation mode.

    Returns:
        How many layers were folded.

    Raises:
        ValueError: the model is in training mode, in which the statistics move.
    """
    if model.training:
        raise ValueError(
            "Normalisation is folded into weights while its statistics stand still. Received a "
            "model in training mode; call model.eval() first."
        )
    layers = [
        layer
        for layer in model.modules()
        if isinstance(layer, Conv2d) and isinstance(layer.norm, _CONSTANT_NORMS)
    ]
    for layer in layers:
        scale, shift = scale_and_shift(layer.norm)
        weight = layer.weight.float()
        bias = shift if layer.bias is None else shift + scale * layer.bias.float()
        layer.weight = _constant(weight * scale[:, None, None, None], like=layer.weight)
        layer.bias = _constant(bias, like=layer.weight)
        layer.norm = None
    return len(layers)


def scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Write a batch normalisation with fixed statistics as `scale * x + shift`.

    Args:
        norm: `FrozenBatchNorm2d`, or a batch normalisation in evaluation mode.

    Returns:
        Two (C,) float32.
    """
    scale = (norm.running_var.float() + norm.eps).rsqrt()
    shift = -norm.running_mean.float() * scale
    if norm.weight is not None:
        scale, shift = scale * norm.weight.float(), shift * norm.weight.float()
    if norm.bias is not None:
        shift = shift + norm.bias.float()
    return scale, shift


def _constant(value: Tensor, *, like: Tensor) -> nn.Parameter:
    return nn.Parameter(value.to(like.dtype), requires_grad=False)
