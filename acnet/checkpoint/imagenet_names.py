"""Names of ResNet weights: Caffe2's and torchvision's to detectron2's.

Canonical names are those of a detectron2 `ResNet`: `stem.conv1.weight`, `stem.conv1.norm.*`,
`res{2..5}.{block}.{conv1,conv2,conv3,shortcut}.{weight,norm.*}`.
"""

import re
from collections.abc import Iterable
from enum import Enum

from detectron2.checkpoint.c2_model_loading import convert_basic_c2_names

__all__ = ["Naming", "canonical_names", "is_backbone_name", "recognise_naming"]


class Naming(Enum):
    """Who named the weights of an ImageNet file."""

    CAFFE2 = "Caffe2"
    TORCHVISION = "torchvision"
    DETECTRON2 = "detectron2"


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

_BACKBONE_NAME = re.compile(
    r"(stem|res\d)\.(?!fc\.)"
)  # stem.fc: detectron2's converter names fc so


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
