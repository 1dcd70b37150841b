"""One ImageNet file for every ResNet of a detector, and for the res5 stage of its box head.

Names are first translated to canonical ones, those of a detectron2 `ResNet`: `stem.conv1.weight`,
`stem.conv1.norm.*`, `res{2..5}.{block}.{conv1,conv2,conv3,shortcut}.{weight,norm.*}`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from detectron2.checkpoint.c2_model_loading import convert_basic_c2_names
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling.backbone import ResNet
from torch import Tensor, nn

from acnet.errors import WeightsMismatchError

from .conventions import LoadedPart, Naming

COUNTER = "num_batches_tracked"  # of no use to a norm that is frozen, or that goes on counting
_MAX_PROBLEMS = 8

# A name that every ResNet has in that naming and that no detector's checkpoint starts with.
_TELLTALES = {
    Naming.CAFFE2: re.compile(r"res2_0_branch2a_w$"),
    Naming.TORCHVISION: re.compile(r"layer1\.0\.conv1\.weight$"),
    Naming.DETECTRON2: re.compile(r"res2\.0\.conv1\.weight$"),
}

_TORCHVISION_RULES = (
    (re.compile(r"^(conv1|bn1)\."), r"stem.\1."),
    (re.compile(r"^layer(\d)\."), lambda match: f"res{int(match[1]) + 1}."),
    (re.compile(r"\bbn(\d)\."), r"conv\1.norm."),
    (re.compile(r"\bdownsample\.0\."), "shortcut."),
    (re.compile(r"\bdownsample\.1\."), "shortcut.norm."),
)

# detectron2's converter calls the classifier stem.fc.
_BACKBONE_NAME = re.compile(r"(stem|res\d)\.(?!fc\.)")


def recognise_naming(names: Iterable[str]) -> Naming | None:
    """Tells the naming of an ImageNet file.

    Args:
        names: all names of the file, with or without DistributedDataParallel's `module.`.

    Returns:
        The naming; None for anything else, such as the checkpoint of a whole detector.
    """
    names = [name.removeprefix("module.") for name in names]
    for naming, telltale in _TELLTALES.items():
        if any(telltale.match(name) for name in names):
            return naming
    return None


def canonical_names(names: Iterable[str], naming: Naming) -> dict[str, str]:
    """Translates the names of an ImageNet file.

    Args:
        names: all names of the file.
        naming: what `recognise_naming` said of them.

    Returns:
        Each name of the file with its canonical name; names of other parts, such as the classifier,
        are translated in form only (`is_backbone_name` tells which).
    """
    names = list(names)
    plain = [name.removeprefix("module.") for name in names]
    if naming is Naming.CAFFE2:
        plain = convert_basic_c2_names(plain)
    elif naming is Naming.TORCHVISION:
        plain = [_from_torchvision(name) for name in plain]
    return dict(zip(names, plain, strict=True))


def is_backbone_name(canonical: str) -> bool:
    """Whether a canonical name belongs to the stem or to a stage."""
    return _BACKBONE_NAME.match(canonical) is not None


def _from_torchvision(name: str) -> str:
    for pattern, replacement in _TORCHVISION_RULES:
        name = pattern.sub(replacement, name)
    return name


@dataclass(frozen=True)
class Stage:
    """A stem or stage of a ResNet in the model, and all the names that it goes by.

    Attributes:
        name: "stem" or "res2" to "res5".
        module: the stem or the blocks.
        paths: where the model has it; more than one where it is shared.
    """

    name: str
    module: nn.Module
    paths: tuple[str, ...]


@dataclass(frozen=True)
class BackboneWeights:
    """The ResNet of an ImageNet file.

    Attributes:
        tensors: its weights, by canonical names.
        others: what else is in the file, such as the classifier, by the file's names.
        has_folded_bias: whether the stem's norm took in a bias of the stem's convolution.
    """

    tensors: dict[str, Tensor]
    others: tuple[str, ...]
    has_folded_bias: bool

    @classmethod
    def from_file(cls, weights: dict[str, Tensor], naming: Naming) -> "BackboneWeights":
        """Translates a file's names and sorts out what belongs to the ResNet.

        Args:
            weights: the file, by its own names.
            naming: what `recognise_naming` said of them.

        Returns:
            The translated weights. A bias of the stem's convolution (Caffe2's ResNet-50 has one,
            detectron2's stem does not) is folded into the norm that follows it.
        """
        tensors, others = {}, set()
        for name, canonical in canonical_names(weights, naming).items():
            if canonical.endswith(COUNTER):
                others.add(f"*.{COUNTER}")
            elif is_backbone_name(canonical):
                tensors[canonical] = weights[name]
            else:
                others.add(name)
        has_folded_bias = _fold_stem_bias(tensors)
        return cls(tensors, tuple(sorted(others)), has_folded_bias)


def find_stages(model: nn.Module) -> list[Stage]:
    """Finds every stem and stage that an ImageNet file can fill.

    Args:
        model: a detector, or any module around detectron2's ResNets.

    Returns:
        Stems and stages of all ResNets, then `roi_heads.res5`; a shared one once.
    """
    found: dict[int, tuple[str, nn.Module, list[str]]] = {}
    for name, path, module in _walk(model):
        found.setdefault(id(module), (name, module, []))[2].append(path)
    return [Stage(name, module, tuple(paths)) for name, module, paths in found.values()]


def duplicate(
    weights: BackboneWeights, stages: list[Stage], source: str
) -> tuple[dict[str, Tensor], tuple[LoadedPart, ...], tuple[str, ...]]:
    """Gives each stage of the model its copy of the file's weights.

    Args:
        weights: the file.
        stages: from `find_stages`.
        source: the file's path, for messages.

    Returns:
        A state dict for the model's stages; what went where; which stages of the file went nowhere.

    Raises:
        WeightsMismatchError: a name of the one has no counterpart in the other, or another shape.
    """
    state: dict[str, Tensor] = {}
    loaded, problems = [], []
    for stage in stages:
        mine = {k: v for k, v in weights.tensors.items() if k.startswith(f"{stage.name}.")}
        filled, wrong = _fill(stage, mine)
        problems += wrong
        for path in stage.paths:
            state.update({f"{path}.{key}": tensor for key, tensor in filled.items()})
        is_folded = stage.name == "stem" and weights.has_folded_bias
        origin = "stem (its bias folded into the norm)" if is_folded else stage.name
        values = sum(tensor.numel() for tensor in filled.values())
        loaded.append(LoadedPart(" = ".join(stage.paths), origin, len(filled), values))
    if problems or not stages:
        raise WeightsMismatchError(_explain(problems, source))
    used = {stage.name for stage in stages}
    absent = sorted({name.partition(".")[0] for name in weights.tensors} - used)
    return state, tuple(loaded), tuple(f"{name}.*" for name in absent)


def _walk(model: nn.Module) -> Iterator[tuple[str, str, nn.Module]]:
    for path, module in model.named_modules():
        if isinstance(module, ResNet):
            prefix = f"{path}." if path else ""
            for name in ("stem", *module.stage_names):
                yield name, prefix + name, getattr(module, name)
    head = getattr(getattr(model, "roi_heads", None), "res5", None)
    if head is not None:
        yield "res5", "roi_heads.res5", head


def _fill(stage: Stage, weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Values for one stage by its own names, and what does not fit."""
    place, filled, problems = stage.paths[0], {}, []
    own = {key: value for key, value in stage.module.state_dict().items() if COUNTER not in key}
    for key, value in own.items():
        name = f"{stage.name}.{key}"
        given = weights[name] if name in weights else _identity_statistic(stage.module, key)
        if given is None:
            problems.append(f"{place}.{key} {tuple(value.shape)} has no {name} in the file")
        elif given.shape != value.shape:
            problems.append(
                f"{place}.{key} is {tuple(value.shape)} but {name} in the file {tuple(given.shape)}"
            )
        else:
            filled[key] = given
    unmatched = sorted(weights.keys() - {f"{stage.name}.{key}" for key in own})
    problems += [f"{name} of the file has no place in {place}" for name in unmatched]
    return filled, problems


def _identity_statistic(stage: nn.Module, key: str) -> Tensor | None:
    """The statistic that makes a frozen norm purely affine, which is how Caffe2 stores its norms.

    A norm that goes on counting would overwrite statistics that the file does not have, so it gets
    none. A norm that is no batch norm has no statistics to begin with.
    """
    path, _, statistic = key.rpartition(".")
    norm = stage.get_submodule(path)
    if not isinstance(norm, FrozenBatchNorm2d):
        return None
    if statistic == "running_mean":
        return torch.zeros(norm.num_features)
    if statistic == "running_var":
        return torch.full((norm.num_features,), 1.0 - norm.eps)  # the norm adds eps again
    return None


def _fold_stem_bias(tensors: dict[str, Tensor]) -> bool:
    """norm(conv(x) + b) without the b: lowers the mean by b, or raises the bias by gain times b."""
    bias, norm = tensors.get("stem.conv1.bias"), "stem.conv1.norm"
    if bias is None or f"{norm}.weight" not in tensors:
        return False
    del tensors["stem.conv1.bias"]
    if f"{norm}.running_mean" in tensors:
        tensors[f"{norm}.running_mean"] = tensors[f"{norm}.running_mean"] - bias
    else:
        gain = tensors[f"{norm}.weight"]
        tensors[f"{norm}.bias"] = tensors[f"{norm}.bias"] + gain * bias
    return True


def _explain(problems: list[str], source: str) -> str:
    more = f"; and {len(problems) - _MAX_PROBLEMS} more" if len(problems) > _MAX_PROBLEMS else ""
    found = (
        "; ".join(problems[:_MAX_PROBLEMS]) + more if problems else "there is no detectron2 ResNet"
    )
    return (
        "ImageNet weights must fill every stage of every ResNet in the model, name by name. "
        f"Received {source} for a model where: {found}. Build the model with the file's depth, "
        "widths and norm (weights without running statistics need norm=FrozenBN), or give weights "
        "of this model in train.init_checkpoint=."
    )
