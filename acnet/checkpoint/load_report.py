"""A weights file against a model: what goes where, what stays random, what is not used.

All is settled, and can be reported, before anything in the model changes.
"""

import logging
import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from fvcore.common.checkpoint import _strip_prefix_if_present
from tabulate import tabulate
from torch import Tensor, nn

from acnet.errors import WeightsMismatchError, shorten

from .conventions import (
    CONVENTIONS_KEY,
    Naming,
    check_conventions,
    conventions_of_file,
    read_conventions,
)
from .imagenet import COUNTER, LoadedPart, duplicate, find_stages, recognise_naming, sort_weights
from .safe_load import fetch, read_checkpoint

AVERAGE = "ema"  # in a checkpoint, beside "model"

# Class names, since a weights file is no reason to import the model; subclasses count as well.
_GROUPS = {
    "CompositeConnection": "composite connections",
    "FeatureRefinement": "FRM",
    "DynamicContextEnhancement": "DCE",
    "MaskAwareMultiAttention": "MAMA",
    "ChannelProjection": "channel projection",
    "FPN": "FPN",
    "RPN": "RPN",
    "ROIHeads": "ROI heads",
    "ResNet": "ResNet",
}


@dataclass(frozen=True)
class RandomPart:
    """A part of the model that keeps its initial values."""

    group: str
    names: tuple[str, ...]
    values: int


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What became of a weights file."""

    source: str
    kind: str  # what the file was taken for
    loaded: tuple[LoadedPart, ...]
    random: tuple[RandomPart, ...] = ()  # what keeps its initial values, mismatched or missing
    unused: tuple[str, ...] = ()  # names in the file that went nowhere
    # Shapes in the file and in the model, by parameter, where they differ.
    mismatched: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    note: str = ""  # what else a user should know
    is_backbone_only: bool = False  # whether the rest of the model is meant to be random

    @property
    def is_complete(self) -> bool:
        """Tell whether file and model fit each other exactly."""
        return not (self.random or self.unused or self.mismatched)

    def table(self) -> str:
        """Return a table: a row for each part of the model, then what was not used."""
        rows = [(part.place, part.source, part.tensors, f"{part.values:,}") for part in self.loaded]
        rows += [
            (part.group, "(stays random)", len(part.names), f"{part.values:,}")
            for part in self.random
        ]
        if self.unused:
            rows.append(("(not used)", shorten(self.unused), len(self.unused), ""))
        header = ("part of the model", "from the file", "tensors", "values")
        return tabulate(
            rows, header, tablefmt="github", colalign=("left", "left", "right", "right")
        )

    def log(self, logger: logging.Logger) -> None:
        """Log the table, and as warnings whatever a user may not have meant."""
        logger.info("%s: %s\n%s", self.source, self.kind, self.table())
        if self.note:
            logger.warning("%s: %s", self.source, self.note)
        for name, (in_file, in_model) in self.mismatched.items():
            logger.warning(
                "%s stays random: its shape is %s in %s but %s in the model.",
                *(name, in_file, self.source, in_model),
            )
        if self.is_backbone_only:
            return
        names = (name for part in self.random for name in part.names)
        missing = [name for name in names if name not in self.mismatched]
        if missing:
            logger.warning("Not in %s, so they stay random: %s", self.source, shorten(missing))
        if self.unused:
            logger.warning("In %s but not in the model: %s", self.source, shorten(self.unused))


def group_names(
    model: nn.Module, names: Iterable[str], tensors: Mapping[str, Tensor]
) -> tuple[RandomPart, ...]:
    """Sort parameters of a model's state dict into its parts.

    A part is the innermost module around them of a known class, or else the first word of a name.
    """
    prefixes = {}
    for path, module in model.named_modules(remove_duplicate=False):
        classes = (cls.__name__ for cls in type(module).__mro__)
        group = next((_GROUPS[cls] for cls in classes if cls in _GROUPS), None)
        if group is not None:
            prefixes[f"{path}." if path else ""] = group
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        around = [prefix for prefix in prefixes if name.startswith(prefix)]
        group = prefixes[max(around, key=len)] if around else name.partition(".")[0]
        groups.setdefault(group, []).append(name)
    return tuple(
        RandomPart(group, tuple(members), sum(tensors[name].numel() for name in members))
        for group, members in sorted(groups.items())
    )


@dataclass(frozen=True)
class LoadPlan:
    """A state dict that fits the model, and the report on how it came about."""

    state: dict[str, Tensor]
    report: LoadReport

    def require_complete(self, *, rule: str, remedy: str) -> None:
        """Refuse a checkpoint of another model, by the rule that it breaks.

        Raises:
            WeightsMismatchError: anything is missing, left over or of another shape.
        """
        report = self.report
        if report.is_complete:
            return
        different = [f"{name} {a}, not {b}" for name, (a, b) in report.mismatched.items()]
        missing = [name for part in report.random for name in part.names]
        raise WeightsMismatchError(
            f"{rule} Received {report.source}; other shapes: {shorten(different)}; not in the file:"
            f" {shorten(missing)}; not in the model: {shorten(report.unused)}. {remedy}"
        )


def plan_loading(model: nn.Module, checkpoint: dict[str, Any], *, source: str) -> LoadPlan:
    """Settle what of a checkpoint goes where in a model, which is left as it is.

    What the plan consumes beside the weights is removed from the checkpoint.

    Raises:
        WeightsMismatchError: ImageNet weights that do not fill every ResNet of the model name by
            name; weights for another input than the model's; a checkpoint that fills nothing, or
            that has two values for a parameter which the model shares under two names.
    """
    own = model.state_dict(keep_vars=True)
    naming = recognise_naming(checkpoint["model"])
    if naming is not None and not checkpoint["model"].keys() & own.keys():
        checkpoint.pop("matching_heuristics", None)
        return _plan_imagenet(model, own, checkpoint, naming, source)
    return _plan_checkpoint(model, own, checkpoint, source)


def _plan_imagenet(
    model: nn.Module,
    own: dict[str, Tensor],
    checkpoint: dict[str, Any],
    naming: Naming,
    source: str,
) -> LoadPlan:
    author, note = checkpoint.pop("__author__", None), ""
    if CONVENTIONS_KEY in checkpoint:  # taken out of a detector of ours
        conventions = read_conventions(checkpoint.pop(CONVENTIONS_KEY), source)
    else:
        conventions = conventions_of_file(naming, author)
    if conventions is None:
        note = (
            f"cannot tell from detectron2's names and the author {author!r} what input these "
            "weights expect; make sure of input_format, pixel_mean, pixel_std and stride_in_1x1"
        )
    else:
        check_conventions(model, conventions, source)
    weights, others = sort_weights(checkpoint["model"], naming)
    filled, loaded, absent_stages = duplicate(weights, find_stages(model), source)
    random = [name for name in own if name not in filled and not name.endswith(COUNTER)]
    report = LoadReport(
        source=source,
        kind=f"ImageNet weights named by {naming.value}",
        loaded=loaded,
        random=group_names(model, random, own),
        unused=(*others, *absent_stages),
        note=note,
        is_backbone_only=True,
    )
    return LoadPlan(_like(own, filled), report)


def _plan_checkpoint(
    model: nn.Module, own: dict[str, Tensor], checkpoint: dict[str, Any], source: str
) -> LoadPlan:
    weights = checkpoint["model"]
    _strip_prefix_if_present(weights, "module.")
    if CONVENTIONS_KEY in checkpoint:
        stored = checkpoint.pop(CONVENTIONS_KEY)
        check_conventions(model, read_conventions(stored, source), source)
    filled = {k: v for k, v in weights.items() if k in own and v.shape == own[k].shape}
    if own and not filled:
        raise WeightsMismatchError(
            "A checkpoint must share names and shapes with the model. Received "
            f"{source}, whose names, such as {shorten(sorted(weights), 3)}, do not occur in the "
            "model; give ImageNet weights of a ResNet or a checkpoint of this model."
        )
    _check_shared(own, filled, source)
    reached = {id(own[name]) for name in filled}  # under any of its names, if it is shared
    unfilled = [name for name, tensor in own.items() if id(tensor) not in reached]
    parts = group_names(model, filled, own)
    loaded = tuple(LoadedPart(p.group, "same names", len(p.names), p.values) for p in parts)
    report = LoadReport(
        source=source,
        kind="checkpoint of a whole model",
        loaded=loaded,
        random=group_names(model, unfilled, own),
        unused=tuple(sorted(weights.keys() - own.keys())),
        mismatched={
            name: (tuple(weights[name].shape), tuple(own[name].shape))
            for name in sorted(weights.keys() & own.keys() - filled.keys())
        },
    )
    return LoadPlan(_like(own, filled), report)


def _check_shared(own: dict[str, Tensor], filled: dict[str, Tensor], source: str) -> None:
    """Refuse two values for one tensor of the model, since the latter would overwrite the former.

    A composite backbone of two frozen stems shares one, while a training of both made two of them.
    """
    first: dict[int, str] = {}
    for name, value in filled.items():
        other = first.setdefault(id(own[name]), name)
        if other != name and not torch.equal(value, filled[other]):
            raise WeightsMismatchError(
                "What a model shares under two names has one value. Received "
                f"{source}, where {other} and {name} differ, as after training both; build the "
                "model with freeze_at=0 for each ResNet (MODEL.BACKBONE.FREEZE_AT in a yaml "
                "config), which then share nothing, and freeze them with train.freeze_at."
            )


def _like(own: dict[str, Tensor], filled: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of the model's versions, so that no module adds defaults to it."""
    state = OrderedDict(filled)
    state._metadata = own._metadata
    return state


def take_average(checkpoint: dict[str, Any]) -> bool:
    """Put the moving average of a training's weights (`train.ema`), if it has one, in their place.

    Anything else of that name is somebody's own, and stays.
    """
    average = checkpoint.get(AVERAGE)
    if not isinstance(average, dict) or average.keys() != checkpoint["model"].keys():
        return False
    checkpoint["model"] = checkpoint.pop(AVERAGE)
    return True


def load_trained_weights(model: nn.Module, weights: str | os.PathLike) -> None:
    """Fill a model, in place, from a checkpoint of a training with its config.

    Raises:
        WeightsMismatchError: Model and file do not fit each other exactly, or their input
            conventions differ.
        UnreadableFileError: The file cannot be read safely.
    """
    source = os.fspath(weights)
    checkpoint, own = read_checkpoint(fetch(source)), model.state_dict(keep_vars=True)
    take_average(checkpoint)
    plan = _plan_checkpoint(model, own, checkpoint, source)
    plan.require_complete(
        rule="Trained weights fill the whole model and nothing else, or its results mean nothing.",
        remedy="Use the config of their training, such as the config.yaml beside them.",
    )
    model.load_state_dict(plan.state, strict=False)
