"""A checkpoint against a model: what fills what, settled before anything in the model changes."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from fvcore.common.checkpoint import _strip_prefix_if_present
from torch import Tensor, nn

from acnet.errors import WeightsMismatchError

from .conventions import CONVENTIONS_KEY, Conventions, check_conventions, conventions_of_file
from .imagenet import COUNTER, BackboneWeights, duplicate, find_stages
from .imagenet_names import Naming, recognise_naming
from .report import LoadedPart, LoadReport, Mismatch, group_names, module_groups, shorten

__all__ = ["LoadPlan", "plan_loading"]


@dataclass(frozen=True)
class LoadPlan:
    """A state dict that fits the model, and the report on how it came about."""

    state: dict[str, Tensor]
    report: LoadReport

    def require_complete(self) -> None:
        """Refuses a checkpoint of another model.

        Raises:
            WeightsMismatchError: anything is missing, left over or of another shape.
        """
        report = self.report
        if report.is_complete:
            return
        different = [f"{one.name} {one.in_file}, not {one.in_model}" for one in report.mismatched]
        missing = [name for part in report.random for name in part.names]
        raise WeightsMismatchError(
            "Resuming continues a training exactly, so the checkpoint must be of the same model. "
            f"Received {report.source}; other shapes: {shorten(different)}; not in the file: "
            f"{shorten(missing)}; not in the model: {shorten(report.unused)}. Resume with that "
            "training's config.yaml, or start anew in another train.output_dir with this file as "
            "train.init_checkpoint=."
        )


def plan_loading(model: nn.Module, checkpoint: dict[str, Any], *, source: str) -> LoadPlan:
    """Settles what of a checkpoint goes where in a model.

    Args:
        model: left as it is.
        checkpoint: from `read_checkpoint`; what the plan consumes beside the weights is removed.
        source: the file's path, for messages.

    Returns:
        The plan.

    Raises:
        WeightsMismatchError: ImageNet weights that do not fill every ResNet of the model name by
            name; weights for another input than the model's; a checkpoint that fills nothing.
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
    author = checkpoint.pop("__author__", None)
    conventions = conventions_of_file(naming, author)
    notes = ()
    if conventions is None:
        notes = (
            f"cannot tell from detectron2's names and the author {author!r} what input these "
            "weights expect; make sure of input_format, pixel_mean, pixel_std and stride_in_1x1",
        )
    else:
        check_conventions(model, conventions, source)
    weights = BackboneWeights.from_file(checkpoint["model"], naming)
    filled, loaded, absent_stages = duplicate(weights, find_stages(model), source)
    random = [name for name in own if name not in filled and not name.endswith(COUNTER)]
    report = LoadReport(
        source=source,
        kind=f"ImageNet weights named by {naming.value}",
        loaded=loaded,
        random=group_names(random, own, module_groups(model)),
        unused=weights.others + absent_stages,
        notes=notes,
        is_backbone_only=True,
    )
    return LoadPlan(_like(own, filled), report)


def _plan_checkpoint(
    model: nn.Module, own: dict[str, Tensor], checkpoint: dict[str, Any], source: str
) -> LoadPlan:
    weights = checkpoint["model"]
    _strip_prefix_if_present(weights, "module.")
    if CONVENTIONS_KEY in checkpoint:
        check_conventions(model, Conventions(**checkpoint.pop(CONVENTIONS_KEY)), source)
    filled = {k: v for k, v in weights.items() if k in own and v.shape == own[k].shape}
    if own and not filled:
        raise WeightsMismatchError(
            "A checkpoint must share names and shapes with the model. Received "
            f"{source}, whose names, such as {shorten(sorted(weights), 3)}, do not occur in the "
            "model; give ImageNet weights of a ResNet or a checkpoint of this model."
        )
    group_of = module_groups(model)
    parts = group_names(filled, own, group_of)
    loaded = tuple(LoadedPart(p.group, "same names", len(p.names), p.values) for p in parts)
    report = LoadReport(
        source=source,
        kind="checkpoint of a whole model",
        loaded=loaded,
        random=group_names(_unfilled(own, filled), own, group_of),
        unused=tuple(sorted(weights.keys() - own.keys())),
        mismatched=tuple(
            Mismatch(name, tuple(weights[name].shape), tuple(own[name].shape))
            for name in sorted(weights.keys() & own.keys() - filled.keys())
        ),
    )
    return LoadPlan(_like(own, filled), report)


def _unfilled(own: dict[str, Tensor], filled: dict[str, Tensor]) -> list[str]:
    """Names that get no value under any of their names: a shared tensor has several."""
    reached = {id(own[name]) for name in filled}
    return [name for name, tensor in own.items() if id(tensor) not in reached]


def _like(own: dict[str, Tensor], filled: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of this model's versions, so that no module adds defaults of its own to it."""
    state = OrderedDict(filled)
    state._metadata = own._metadata
    return state
