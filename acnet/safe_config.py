"""Reading the `config.yaml` that a training saved, without running anything that it names.

detectron2's LazyConfig reads yaml with PyYAML's unsafe loader, and builds whatever `_target_` says:
either lets a file that came along with somebody's weights run any code. A config in Python is a
program by its nature, and the user's own choice; a yaml beside downloaded weights is not.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from pydoc import ErrorDuringImport, locate
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from acnet.errors import UserError

# Where the parts of a detector, its data and its training come from. Nothing here runs a command
# or writes to a path of the caller's choice.
TRUSTED_MODULES = (
    "acnet.data.tiles.mapper",
    "acnet.engine.loader",
    "acnet.evaluation",
    "acnet.modeling",
    "detectron2.data",
    "detectron2.evaluation",
    "detectron2.layers",
    "detectron2.modeling",
    "detectron2.solver",
    "fvcore.common.param_scheduler",
    "torch.nn.modules",
    "torch.optim",
)
# Of constructors that no longer have them: target, argument, and the value that changed nothing.
_UNUSED_ARGUMENTS = (("acnet.modeling.MaskAwareMultiAttention", "output_norm", ""),)
_PACKAGES = {module.split(".")[0] for module in TRUSTED_MODULES}


def load_saved_config(path: Path) -> DictConfig:
    """Read a saved config.

    Args:
        path: of the yaml.

    Returns:
        The config; nothing of it has been built.

    Raises:
        UserError: it is no yaml of plain values, or it builds something that is not a part of a
            detector of acnet or detectron2.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _no_yaml(str(path), error) from error
    return parse_saved_config(text, source=str(path))


def parse_saved_config(text: str, *, source: str) -> DictConfig:
    """Read the text of a saved config.

    Args:
        text: yaml.
        source: where it comes from, for errors.

    Returns:
        The config; nothing of it has been built.

    Raises:
        UserError: as `load_saved_config`.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _no_yaml(source, error) from error
    if not isinstance(content, dict):
        raise UserError(
            f"A saved config maps names to values. Received {source}, which holds "
            f"{type(content).__name__}. Use the config.yaml that a training wrote."
        )
    for target in _targets(content):
        if not _is_trusted(target):
            raise UserError(
                "A saved config may come from anybody, so it builds only parts of acnet and "
                f"detectron2. Received {source}, which names {target!r}. If that is code of your "
                "own, use the config's .py file."
            )
    _drop_unused_arguments(content)
    return OmegaConf.create(content, flags={"allow_objects": True})


def _drop_unused_arguments(node: Any) -> None:
    """Remove arguments that older versions saved and that never had an effect."""
    if isinstance(node, dict):
        for target, name, value in _UNUSED_ARGUMENTS:
            if node.get("_target_") == target and node.get(name) == value:
                del node[name]
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, dict | list):
            _drop_unused_arguments(child)


def _no_yaml(source: str, error: Exception) -> UserError:
    return UserError(
        f"A saved config is a yaml of plain values. Received {source}: {error}. Use the "
        "config.yaml that a training wrote, or the config's name."
    )


def _targets(node: Any) -> Iterator[Any]:
    """Everything that the config would call."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)


def _is_trusted(target: Any) -> bool:
    """Tell by the object and not by its name: `detectron2.data.build.os.system` is the system's."""
    if not isinstance(target, str) or target.split(".")[0] not in _PACKAGES:
        return False  # not even imported
    try:
        found = locate(target)
    except ErrorDuringImport:
        return False
    is_callable = inspect.isclass(found) or inspect.isroutine(found)
    home = getattr(found, "__module__", None) or ""
    return is_callable and any(f"{home}.".startswith(f"{module}.") for module in TRUSTED_MODULES)
