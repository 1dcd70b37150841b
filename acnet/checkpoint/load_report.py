"""What became of a weights file: what went where, what stays random, what was not used."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tabulate import tabulate
from torch import Tensor, nn

__all__ = [
    "LoadReport",
    "LoadedPart",
    "Mismatch",
    "RandomPart",
    "group_names",
    "module_groups",
    "shorten",
]

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
class LoadedPart:
    """A part of the model that was filled, from which part of the file, with how many values."""

    place: str
    source: str
    tensors: int
    values: int


@dataclass(frozen=True)
class RandomPart:
    """A part of the model that keeps its initial values."""

    group: str
    names: tuple[str, ...]
    values: int


@dataclass(frozen=True)
class Mismatch:
    """A parameter that was left out because its shape differs from the file's."""

    name: str
    in_file: tuple[int, ...]
    in_model: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What became of a weights file.

    Attributes:
        source: the file.
        kind: what the file was taken for.
        loaded: the parts that were filled.
        random: the parts that keep their initial values, mismatched parameters among them.
        unused: names in the file that went nowhere.
        mismatched: parameters of another shape.
        notes: anything else that a user should know.
    """

    source: str
    kind: str
    loaded: tuple[LoadedPart, ...]
    random: tuple[RandomPart, ...] = ()
    unused: tuple[str, ...] = ()
    mismatched: tuple[Mismatch, ...] = ()
    notes: tuple[str, ...] = ()
    is_backbone_only: bool = field(default=False, repr=False)

    @property
    def is_complete(self) -> bool:
        """Whether file and model fit each other exactly."""
        return not (self.random or self.unused or self.mismatched)

    def table(self) -> str:
        """The report as a table: one row for each part of the model, then what was not used."""
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
        """Logs the table, and as warnings whatever a user may not have meant.

        Args:
            logger: where to.
        """
        logger.info("%s: %s\n%s", self.source, self.kind, self.table())
        for note in self.notes:
            logger.warning("%s: %s", self.source, note)
        for one in self.mismatched:
            logger.warning(
                "%s stays random: its shape is %s in %s but %s in the model.",
                one.name, one.in_file, self.source, one.in_model,
            )  # fmt: skip
        if self.is_backbone_only:  # the rest of the model is meant to be random
            return
        different = {one.name for one in self.mismatched}
        missing = [name for part in self.random for name in part.names if name not in different]
        if missing:
            logger.warning("Not in %s, so they stay random: %s", self.source, shorten(missing))
        if self.unused:
            logger.warning("In %s but not in the model: %s", self.source, shorten(self.unused))


def module_groups(model: nn.Module) -> Callable[[str], str]:
    """Gives the function that tells which part of the model a parameter belongs to.

    Args:
        model: any module; the paper's parts are known by their class.

    Returns:
        Name of a parameter to the name of its part: that of the innermost known module around it,
        or else the first word of its name.
    """
    prefixes = {}
    for path, module in model.named_modules(remove_duplicate=False):
        classes = (cls.__name__ for cls in type(module).__mro__)
        group = next((_GROUPS[cls] for cls in classes if cls in _GROUPS), None)
        if group is not None:
            prefixes[f"{path}." if path else ""] = group

    def group_of(name: str) -> str:
        around = [prefix for prefix in prefixes if name.startswith(prefix)]
        return prefixes[max(around, key=len)] if around else name.partition(".")[0]

    return group_of


def group_names(
    names: Iterable[str], tensors: Mapping[str, Tensor], group_of: Callable[[str], str]
) -> tuple[RandomPart, ...]:
    """Sorts parameters into the parts of the model.

    Args:
        names: names in `tensors`.
        tensors: the model's state dict.
        group_of: from `module_groups`.

    Returns:
        The parts, by name.
    """
    groups: dict[str, list[str]] = {}
    sizes: Counter[str] = Counter()
    for name in sorted(names):
        group = group_of(name)
        groups.setdefault(group, []).append(name)
        sizes[group] += tensors[name].numel()
    return tuple(RandomPart(group, tuple(groups[group]), sizes[group]) for group in sorted(groups))


def shorten(names: Iterable[str], limit: int = 12) -> str:
    """The first few of many names, for a message.

    Args:
        names: any number of them.
        limit: how many to show.

    Returns:
        The names with commas between them, and how many more there are; "none" for none.
    """
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (", ".join(names[:limit]) or "none") + more
