"""Models with random weights, for time only: as they are, plain, or in channels_last."""

import copy

import torch
from detectron2.config import instantiate
from detectron2.layers import ROIAlign
from detectron2.modeling.proposal_generator import RPN
from torch import nn

from acnet.config import load_config
from acnet.modeling import BestFirstRPN

SEED = 0


def build(name: str, device: torch.device, inputs: list[dict]) -> nn.Module:
    """Returns a config's model with random weights, in evaluation mode.

    Its normalisations fit the picture, as after a training: with those of a new model ResNet-101's
    maps grow to millions, boxes to the whole picture, and of 300 proposals one is left.

    Args:
        name: of the config.
        device: where it goes.
        inputs: as detectron2's models take them.
    """
    torch.manual_seed(SEED)
    cfg = load_config(name)
    cfg.train.channels_last = False
    model = instantiate(cfg.model).eval().to(device)

    def fit(norm: nn.Module, arguments: tuple[torch.Tensor]) -> None:
        norm.running_mean.copy_(arguments[0].mean(dim=(0, 2, 3)))
        norm.running_var.copy_(arguments[0].var(dim=(0, 2, 3)).clamp(min=1e-3))

    norms = [module for module in model.modules() if hasattr(module, "running_var")]
    handles = [norm.register_forward_pre_hook(fit) for norm in norms]
    with torch.no_grad():
        model(inputs[:1])
    for handle in handles:
        handle.remove()
    return model


def plain(model: nn.Module) -> nn.Module:
    """Returns a copy of a model with detectron2's own parts where ours are faster.

    Args:
        model: an ACNet.
    """
    model = copy.deepcopy(model)
    if type(model.proposal_generator) is BestFirstRPN:
        model.proposal_generator.__class__ = RPN
    pooler = getattr(model.roi_heads, "pooler", None) or model.roi_heads.box_pooler
    (level,) = pooler.level_poolers
    pooler.level_poolers[0] = ROIAlign(
        level.output_size, level.spatial_scale, level.sampling_ratio, level.aligned
    )
    return model


def in_channels_last(model: nn.Module) -> nn.Module:
    """Returns a copy of a model that works in channels_last.

    Args:
        model: an ACNet.
    """
    model = copy.deepcopy(model).to(memory_format=torch.channels_last)
    model.channels_last = True
    return model
