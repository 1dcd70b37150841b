"""What belongs to weights beside their values: colour order, pixel scale, where a block strides."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from detectron2.modeling.backbone.resnet import BottleneckBlock, ResNet
from torch import nn

from acnet.errors import UnreadableFileError, WeightsMismatchError, printable, shown

CONVENTIONS_KEY = "input_conventions"  # where our own checkpoints keep theirs
_PIXEL_TOLERANCE = 0.05  # grey levels; published means differ in their last digit


class Naming(Enum):
    """Who named the weights of an ImageNet file."""

    CAFFE2 = "Caffe2"
    TORCHVISION = "torchvision"
    DETECTRON2 = "detectron2"


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """What the input of a network was like when its weights were trained."""

    name: str  # for messages
    input_format: str  # "BGR" or "RGB"
    pixel_mean: tuple[float, float, float]  # in that order, in grey levels 0 to 255
    pixel_std: tuple[float, float, float]
    # Whether a bottleneck strides in its first 1x1 convolution, not in its 3x3; None where it does
    # not matter.
    stride_in_1x1: bool | None


MSRA = Conventions(
    name="MSRA (Caffe2)",
    input_format="BGR",
    pixel_mean=(103.53, 116.28, 123.675),
    pixel_std=(1.0, 1.0, 1.0),
    stride_in_1x1=True,
)
TORCHVISION = Conventions(
    name="torchvision",
    input_format="RGB",
    pixel_mean=(123.675, 116.28, 103.53),
    pixel_std=(58.395, 57.12, 57.375),
    stride_in_1x1=False,
)
_BY_AUTHOR = {"caffe2": MSRA, "msra": MSRA, "torchvision": TORCHVISION}


def conventions_of_file(naming: Naming, author: Any) -> Conventions | None:
    """Tell the conventions of an ImageNet file, or None where neither names nor author do.

    The author, its `__author__`, decides where the names are detectron2's.
    """
    if naming is Naming.DETECTRON2:
        return _BY_AUTHOR.get(author.lower()) if isinstance(author, str) else None
    return MSRA if naming is Naming.CAFFE2 else TORCHVISION


def conventions_of_model(model: nn.Module) -> dict[str, Any] | None:
    """Describe a detector's own conventions, to be stored with its weights: see `read_conventions`.

    A model without input settings has none.
    """
    if not _has_input_settings(model):
        return None
    strides = set(_strides_in_1x1(model).values())
    return {
        "name": "ACNet",
        "input_format": model.input_format,
        "pixel_mean": tuple(model.pixel_mean.flatten().tolist()),
        "pixel_std": tuple(model.pixel_std.flatten().tolist()),
        "stride_in_1x1": strides.pop() if len(strides) == 1 else None,
    }


def read_conventions(stored: Any, source: str) -> Conventions:
    """Take conventions out of a file that may come from anybody.

    Raises:
        UnreadableFileError: they are none.
    """
    kinds = {"name": str, "input_format": str, "pixel_mean": tuple, "pixel_std": tuple}
    kinds["stride_in_1x1"] = bool | None
    is_whole = isinstance(stored, dict) and stored.keys() == kinds.keys()
    if not is_whole or not all(
        isinstance(stored[name], kind)
        and (kind is not tuple or all(isinstance(one, int | float) for one in stored[name]))
        for name, kind in kinds.items()
    ):
        raise UnreadableFileError(
            f"A checkpoint's {CONVENTIONS_KEY} say what input its model takes. Received {source}, "
            f"where they are {shown(stored)}; take another checkpoint."
        )
    texts = {name: printable(stored[name]) for name in ("name", "input_format")}
    return Conventions(**{**stored, **texts})


def check_conventions(model: nn.Module, expected: Conventions, source: str) -> None:
    """Compare the conventions of weights with those of the model that is to use them.

    Of a module without input settings only the strides are checked.

    Raises:
        WeightsMismatchError: they differ; the message ends with the overrides that correct it.
    """
    problems, overrides = [], []
    if _has_input_settings(model):
        for field in ("input_format", "pixel_mean", "pixel_std"):
            received, wanted = getattr(model, field), getattr(expected, field)
            if not _is_equal(received, wanted):
                problems.append(f"{field} {_show(received)}, not {_show(wanted)}")
                overrides.append(f"model.{field}={_show(wanted)}")
    if expected.stride_in_1x1 is not None:
        wrong = [
            block
            for block, strides_in_1x1 in _strides_in_1x1(model).items()
            if strides_in_1x1 != expected.stride_in_1x1
        ]
        if wrong:
            problems.append(f"stride_in_1x1={not expected.stride_in_1x1} in {', '.join(wrong)}")
            overrides += _stride_overrides(model, wrong, expected.stride_in_1x1)
    if problems:
        raise WeightsMismatchError(
            "Weights work only on input like that which they were trained on. Received "
            f"{expected.name} weights, {source}, for a model with {'; '.join(problems)}; override "
            + " ".join(overrides)
        )


def _has_input_settings(model: nn.Module) -> bool:
    return all(
        getattr(model, field, None) is not None
        for field in ("input_format", "pixel_mean", "pixel_std")
    )


def _strides_in_1x1(model: nn.Module) -> dict[str, bool]:
    """Tell where each bottleneck block that strides does so, by the block's name.

    Its 3x3 convolution is asked: a pooler may have taken the stride of 1x1 convolutions over.
    """
    return {
        name: block.conv2.stride[0] == 1
        for name, block in model.named_modules()
        if isinstance(block, BottleneckBlock) and block.stride != 1
    }


def _stride_overrides(model: nn.Module, blocks: Iterable[str], value: bool) -> list[str]:
    """Return one override for each ResNet or head, where LazyConfig builds the blocks."""
    builders = {}
    for block in blocks:
        stage = block.rpartition(".")[0]
        owner = stage.rpartition(".")[0]
        is_backbone = isinstance(model.get_submodule(owner), ResNet)
        builders[f"{owner}.stages" if is_backbone else stage] = None
    return [f"model.{builder}.stride_in_1x1={value}" for builder in builders]


def _is_equal(received: Any, wanted: Any) -> bool:
    if isinstance(wanted, str):
        return received == wanted
    received = received.flatten().tolist()
    return len(received) == len(wanted) and np.allclose(
        received, wanted, rtol=0, atol=_PIXEL_TOLERANCE
    )


def _show(value: Any) -> str:
    """Return a value as the command line would take it."""
    if isinstance(value, str):
        return value
    numbers = value if isinstance(value, tuple) else value.flatten().tolist()
    return "[" + ",".join(f"{number:g}" for number in numbers) + "]"
