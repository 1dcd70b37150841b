"""A config as plain names and values, in which two configs that mean the same read the same."""

import inspect
from collections.abc import Mapping
from pydoc import locate
from typing import Any

from omegaconf import DictConfig, OmegaConf

TARGET = "_target_"


def canonical(node: DictConfig) -> dict[str, Any]:
    """Flatten a part of a config, without the arguments that have their default's value.

    An option that is added to a class later, with a default that changes nothing, so leaves the
    rows that were measured before it as they are.

    Args:
        node: of a loaded config; its interpolations may lead out of it.

    Returns:
        Values of plain JSON types by dotted name, sorted; classes and functions by their full name.
    """
    found: dict[str, Any] = {}
    if OmegaConf.is_config(node):
        _flatten(OmegaConf.to_container(node, resolve=True), "", found)
    else:
        found[""] = _plain(node)
    return dict(sorted(found.items()))


def _flatten(node: Any, prefix: str, found: dict[str, Any]) -> None:
    if isinstance(node, Mapping):
        defaults = _defaults(node.get(TARGET))
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
