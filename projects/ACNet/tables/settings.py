"""What must be equal for two rows to stand in one table, by names that a message can show.

A part of a config becomes plain names and values, in which two configs that mean the same read the
same: without the arguments that have their default's value, so that an option which is added to a
class later leaves the rows that were measured before it as they are, and with our own classes named
without their module, so that they may move.
"""

import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from pydoc import locate
from typing import Any

from omegaconf import DictConfig, OmegaConf

from acnet.engine.precision import choose_precision, resolve_device
from acnet.errors import UserError
from acnet.files import file_sha256

# Raise it with a change after which the same config trains another model or measures otherwise
# (an initialization, a loss, the order of the data, a rule of the evaluation); not for speed.
RESULTS_VERSION = 1

# These decide where files go and how fast, and no number of a table.
NEUTRAL_KEYS = (
    "train.output_dir",
    "train.checkpointer",
    "train.eval_period",
    "train.log_period",
    "train.best_metric",
    "train.device",
    "train.overwrite",
    "train.seed",
    "train.max_iter",  # the iterations are compared themselves
    "dataloader.train.num_workers",
    "dataloader.test.num_workers",
)
OF_THE_FORM = ("optimizer", "schedule")  # the tuned form may have its own
REMEDIES = {
    "iterations": "give --iterations {there}",
    "overrides": "give the same --opts",
    "data": "make the data anew, or name its folder with --datasets",
    "results version": "measure all rows anew",
}


def shared_settings(
    cfg: DictConfig, *, iterations: int, train_data: str, overrides: Sequence[str]
) -> dict[str, Any]:
    """Collect what all rows of a table have in common, as values of plain JSON types.

    Args:
        cfg: of a row, with all overrides applied.
        iterations: of the training.
        train_data: digest of the training set, see `plan.truth_digest`.
        overrides: key=value of the command line.
    """
    precision = choose_precision(cfg.train.amp, resolve_device(cfg.train.device))
    start = cfg.train.init_checkpoint
    if start and Path(start).is_file():
        start = file_sha256(start)[:16]
    return {
        "results version": RESULTS_VERSION,
        "data": train_data,
        "iterations": iterations,
        "images a batch": cfg.dataloader.train.total_batch_size,
        "augmentation": canonical(cfg.dataloader.train.mapper),
        "test mapper": canonical(cfg.dataloader.test.mapper),
        "optimizer": canonical(cfg.optimizer),
        "schedule": canonical(cfg.lr_multiplier),
        "precision": str(precision.dtype or "float32").removeprefix("torch."),
        "channels last": bool(cfg.train.channels_last),
        "start": start or "random weights",
        "overrides": sorted(one for one in overrides if not _is_neutral(one)),
    }


def model_settings(cfg: DictConfig) -> dict[str, Any]:
    """Collect what makes a row this row: its model."""
    return canonical(cfg.model)


def differences(
    here: Mapping[str, Any], there: Mapping[str, Any], *, same_form: bool = True
) -> dict[str, tuple[Any, Any]]:
    """Compare two sets of settings.

    Args:
        here: of one row.
        there: of the other.
        same_form: both rows are in the paper's form, or both are tuned.

    Returns:
        What differs, name by name; settings within settings by their dotted name.
    """
    found = {}
    for name in sorted(set(here) | set(there)):
        if name in OF_THE_FORM and not same_form:
            continue
        one, other = here.get(name), there.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            inner = differences(one, other)
            found |= {f"{name}: {key}": pair for key, pair in inner.items()}
        elif one != other:
            found[name] = (one, other)
    return found


def check_equal(
    here: Mapping[str, Any],
    there: Mapping[str, Any],
    names: tuple[str, str],
    *,
    same_form: bool = True,
) -> None:
    """Refuse two sets of settings that differ.

    Args:
        here, there, same_form: see `differences`.
        names: what the two belong to.

    Raises:
        UserError: they differ; it says in what, and what to do about it.
    """
    found = differences(here, there, same_form=same_form)
    if not found:
        return
    shown = "; ".join(f"{name}: {one!r} and {other!r}" for name, (one, other) in found.items())
    remedies = [
        REMEDIES[name].format(there=other) for name, (_, other) in found.items() if name in REMEDIES
    ]
    remedy = ", ".join([*remedies, "or use another --output and --results"])
    raise UserError(
        "Rows are compared only when they were measured under the same settings. Received "
        f"{names[0]} and {names[1]}, which differ in {shown}. {remedy[0].upper()}{remedy[1:]}."
    )


def canonical(node: DictConfig) -> dict[str, Any]:
    """Flatten a part of a config, without the arguments that have their default's value.

    Args:
        node: of a loaded config; its interpolations may lead out of it.

    Returns:
        Values of plain JSON types by dotted name, sorted; classes and functions by their names.
    """
    found: dict[str, Any] = {}
    if OmegaConf.is_config(node):
        _flatten(OmegaConf.to_container(node, resolve=True), "", found)
    else:
        found[""] = _plain(node)
    return without_modules(dict(sorted(found.items())))


def without_modules(settings: Any) -> Any:
    """Name our own classes and functions by the package alone: `acnet.ACNet`."""
    if isinstance(settings, Mapping):
        return {name: without_modules(value) for name, value in settings.items()}
    if isinstance(settings, str):
        return re.sub(r"^acnet\.(?:\w+\.)+(\w+)$", r"acnet.\1", settings)
    return settings


def _flatten(node: Any, prefix: str, found: dict[str, Any]) -> None:
    if isinstance(node, Mapping):
        defaults = _defaults(node.get("_target_"))
        for name, value in node.items():
            if name not in defaults or _plain(value) != _plain(defaults[name]):
                _flatten(value, f"{prefix}.{name}" if prefix else str(name), found)
    elif isinstance(node, (list, tuple)) and any(isinstance(one, Mapping) for one in node):
        for place, value in enumerate(node):
            _flatten(value, f"{prefix}[{place}]", found)
    else:
        found[prefix] = _plain(node)


def _defaults(target: Any) -> dict[str, Any]:
    """Default values of what a node builds, those of parents whose arguments are handed on too."""
    target = locate(target) if isinstance(target, str) else target
    if not callable(target):
        return {}
    makers = [target]
    if inspect.isclass(target):
        makers = [vars(cls)["__init__"] for cls in target.__mro__ if "__init__" in vars(cls)]
    defaults: dict[str, Any] = {}
    for make in makers:
        try:
            parameters = inspect.signature(make).parameters.values()
        except ValueError:  # written in C
            break
        for one in parameters:
            if one.default is not inspect.Parameter.empty:
                defaults.setdefault(one.name, one.default)
        if all(one.kind is not inspect.Parameter.VAR_KEYWORD for one in parameters):
            break
    return defaults


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)


def _is_neutral(override: str) -> bool:
    key = override.lstrip("+~").partition("=")[0]
    return any(key == one or key.startswith(f"{one}.") for one in NEUTRAL_KEYS)
