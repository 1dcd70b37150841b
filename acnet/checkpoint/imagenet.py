"""One ImageNet file for every ResNet or VGG of a detector, and for the res5 stage of its box head.

Names are first translated to canonical ones, those of a detectron2 `ResNet`: `stem.conv1.weight`,
`stem.conv1.norm.*`, `res{2..5}.{block}.{conv1,conv2,conv3,shortcut}.{weight,norm.*}`; or to
torchvision's `features.{layer}.{weight,bias}` of a VGG, which a backbone has under that name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from detectron2.checkpoint.c2_model_loading import convert_basic_c2_names
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling.backbone import ResNet
from torch import Tensor, nn

from acnet.errors import WeightsMismatchError

from .conventions import Naming

COUNTER = "num_batches_tracked"  # of no use to a norm that is frozen, or that goes on counting
_MAX_PROBLEMS = 8

# A name that every ResNet (or VGG-16, with torchvision alone) has in that naming and that no
# detector's checkpoint starts with.
_TELLTALES = {
    Naming.CAFFE2: re.compile(r"res2_0_branch2a_w$"),
    Naming.TORCHVISION: re.compile(r"(layer1\.0\.conv1|features\.28)\.weight$"),
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
_BACKBONE_NAME = re.compile(r"(stem|res\d|features)\.(?!fc\.)")


def recognise_naming(names: Iterable[str]) -> Naming | None:
    """Tell the naming of an ImageNet file; None for anything else, such as a whole detector's.

    Names may have DistributedDataParallel's `module.` in front.
    """
    names = [name.removeprefix("module.") for name in names]
    for naming, telltale in _TELLTALES.items():
        if any(telltale.match(name) for name in names):
            return naming
    return None


def sort_weights(
    weights: dict[str, Tensor], naming: Naming
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Split an ImageNet file into the ResNet's weights, by canonical names, and other names of it.

    The others, such as the classifier's, are the file's own.
    """
    plain = [name.removeprefix("module.") for name in weights]
    if naming is Naming.CAFFE2:
        plain = convert_basic_c2_names(plain)
    elif naming is Naming.TORCHVISION:
        for pattern, replacement in _TORCHVISION_RULES:
            plain = [pattern.sub(replacement, name) for name in plain]
    tensors, others = {}, set()
    for name, canonical in zip(weights, plain, strict=True):
        if canonical.endswith(COUNTER):
            others.add(f"*.{COUNTER}")
        elif _BACKBONE_NAME.match(canonical):
            tensors[canonical] = weights[name]
        else:
            others.add(name)
    return tensors, tuple(sorted(others))


@dataclass(frozen=True)
class LoadedPart:
    """A part of the model that was filled, from which part of the file, with how many values."""

    place: str
    source: str
    tensors: int
    values: int


@dataclass(frozen=True)
class Stage:
    """A stem or stage of a ResNet in the model, and all the names that it goes by."""

    name: str  # "stem", "res2" to "res5", or "features"
    module: nn.Module
    paths: list[str]  # where the model has it; more than one where it is shared


def find_stages(model: nn.Module) -> list[Stage]:
    """Find every stem and stage that an ImageNet file can fill, a shared one once.

    These are those of all ResNets of detectron2, or the `features` of VGGs, then `roi_heads.res5`.
    """
    stages: dict[int, Stage] = {}

    def add(name: str, module: nn.Module, path: str) -> None:
        stages.setdefault(id(module), Stage(name, module, [])).paths.append(path)

    for path, module in model.named_modules():
        if isinstance(module, ResNet):
            for name in ("stem", *module.stage_names):
                add(name, getattr(module, name), f"{path}.{name}".removeprefix("."))
        elif isinstance(getattr(module, "features", None), nn.Sequential):
            add("features", module.features, f"{path}.features".removeprefix("."))
    head = getattr(getattr(model, "roi_heads", None), "res5", None)
    if head is not None:
        add("res5", head, "roi_heads.res5")
    return list(stages.values())


def duplicate(
    weights: dict[str, Tensor], stages: list[Stage], source: str
) -> tuple[dict[str, Tensor], tuple[LoadedPart, ...], list[str]]:
    """Give each stage of the model its copy of a ResNet's weights.

    A bias of the stem's convolution (Caffe2's ResNet-50 has one, detectron2's stem does not) is
    folded into the norm that follows it.

    Returns:
        A state dict for the model's stages; what went where; which stages of the file went nowhere.

    Raises:
        WeightsMismatchError: a name of the one has no counterpart in the other, or another shape.
    """
    weights = dict(weights)
    has_folded_bias = _fold_stem_bias(weights)
    state: dict[str, Tensor] = {}
    loaded, problems = [], []
    for stage in stages:
        mine = {k: v for k, v in weights.items() if k.startswith(f"{stage.name}.")}
        filled, wrong = _fill(stage, mine)
        problems += wrong
        for path in stage.paths:
            state.update({f"{path}.{key}": tensor for key, tensor in filled.items()})
        is_folded = stage.name == "stem" and has_folded_bias
        origin = "stem (its bias folded into the norm)" if is_folded else stage.name
        values = sum(tensor.numel() for tensor in filled.values())
        loaded.append(LoadedPart(" = ".join(stage.paths), origin, len(filled), values))
    if problems or not stages:
        raise WeightsMismatchError(_explain(problems, source))
    used = {stage.name for stage in stages}
    absent = sorted({name.partition(".")[0] for name in weights} - used)
    return state, tuple(loaded), [f"{name}.*" for name in absent]


def _fill(stage: Stage, weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return values for one stage by its own names, and what does not fit."""
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
    """Return the statistic that makes a frozen norm purely affine, as Caffe2 stores its norms.

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
    """Let norm(conv(x) + b) do without b: lower the mean by it, or raise the bias by gain * b."""
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
