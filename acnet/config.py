"""Configs: found by name, loaded, overridden, and found again beside the weights they made.

A config is a `.py` file below `projects/ACNet/configs` (`acnet/configs` where the package is
installed), which is code, or data that comes with weights: the `config.yaml` of a training, a
bundle or an exported model (see `acnet.safe_config`).
"""

import difflib
import importlib
import inspect
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from pydoc import locate
from typing import TYPE_CHECKING, Any

import yaml

from acnet.constructors import constructor_of, known_constructor
from acnet.errors import UserError, shown
from acnet.files import write_text

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

logger = logging.getLogger(__name__)

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED, _CLONE = _PACKAGE / "configs", _PACKAGE.parent / "projects" / "ACNet" / "configs"
CONFIG_ROOT = _INSTALLED if _INSTALLED.is_dir() else _CLONE
SAVED_CONFIG = "config.yaml"  # beside the weights of a training
# Model files that hold their config. Their readers are above this ground, so they are named here
# and imported when such a file is met.
_READERS = {
    ".safetensors": "acnet.checkpoint.bundle.read_bundle",
    ".onnx": "acnet.export.metadata.read_export",
}
# What prediction reads of a config. The rest tells of the training's machine and folders, which is
# nobody's business.
_PREDICTION_KEYS = (
    "model",
    "dataloader.test.mapper.augmentations",
    "train.amp",
    "train.channels_last",
    "train.sync_bn",
    "photos",
)
_SECTIONS = ("model", "dataloader", "optimizer", "lr_multiplier", "train")  # of a training
_SUFFIXES = (".py", ".yaml", ".yml", *_READERS)


def available_configs() -> list[str]:
    """List the names that `resolve_config` knows, sorted, without the shared parts in `common/`."""
    names = (path.relative_to(CONFIG_ROOT).with_suffix("") for path in CONFIG_ROOT.rglob("*.py"))
    return sorted(name.as_posix() for name in names if name.parts[0] != "common")


def resolve_config(name_or_path: str | Path) -> Path:
    """Find a config by its name, with or without ".py", or by a path, which comes first.

    The path is that of a .py or .yaml file, of a bundle of weights, or of an exported model.

    Raises:
        UserError: there is no such file.
    """
    path = Path(name_or_path)
    if path.suffix in _SUFFIXES and path.is_file():
        return path
    name = (path.parent / path.stem).as_posix()
    named = CONFIG_ROOT / f"{name}.py"
    if named.is_file():
        return named
    raise UserError(
        "--config-file takes a .py or .yaml file, or a name that `acnet configs` lists. "
        f"Received {str(name_or_path)!r}.{_suggest(name, available_configs())}"
    )


def dataset_names(cfg: "DictConfig") -> list[str]:
    """Return the names of the data sets that a config's loaders read, in order."""
    from omegaconf import OmegaConf

    names = []
    for part in cfg.get("dataloader", {}).values():
        of_loader = OmegaConf.select(part, "dataset.names") if OmegaConf.is_config(part) else None
        names += [of_loader] if isinstance(of_loader, str) else list(of_loader or [])
    return list(dict.fromkeys(names))


def load_config(name_or_path: str | Path, overrides: Sequence[str] = ()) -> "DictConfig":
    """Load a config and change some of its values.

    detectron2 adds a misspelt key without a word, and the run ignores it; here it is an error.

    Args:
        name_or_path: as `resolve_config` takes it; a run's saved `config.yaml` works too.
        overrides: "path.key=value", in Hydra's grammar. The key must be in the config, or be an
            argument of the object it belongs to; "+path.key=value" adds any key.

    Raises:
        UserError: no such config, a malformed override, an unknown key, or a yaml or bundle that
            holds no saved config (see `acnet.safe_config`).
    """
    return change_config(_read(resolve_config(name_or_path)), overrides)


def change_config(cfg: "DictConfig", overrides: Sequence[str]) -> "DictConfig":
    """Change values of a config, in place, as `load_config` does."""
    from detectron2.config import LazyConfig

    for override in _parse(overrides):
        if not override.is_add():
            _check_key(cfg, override.key_or_group)
    return LazyConfig.apply_overrides(cfg, list(overrides))


def complete_train(cfg: "DictConfig") -> None:
    """Give `cfg.train` the keys it lacks, as where it is detectron2's `common/train.py`."""
    from detectron2.config import LazyConfig
    from omegaconf import OmegaConf

    defaults = LazyConfig.load(str(CONFIG_ROOT / "common" / "train.py")).train
    cfg.train = OmegaConf.merge(defaults, cfg.train)


def config_of(weights: Path) -> Path:
    """Find what a weights file's model was built by: itself, or the config.yaml beside it.

    Raises:
        UserError: There is none.
    """
    holds_config = weights.suffix in _READERS
    if weights.suffix == ".safetensors":  # as others write them, without a config
        holds_config = _above("acnet.checkpoint.bundle.is_bundle")(weights)
    if holds_config:
        return weights
    config = weights.with_name(SAVED_CONFIG)
    if config.is_file():
        logger.info("Config: %s, beside the weights", config)
        return config
    raise UserError(
        "Weights need the config they were trained with, since it says what the model is. Received "
        f"--weights {weights} without --config-file, and there is no {config}. "
        "Add --config-file NAME, such as toy/acnet_r18."
    )


def _above(name: str) -> Callable:
    """Import a function of a layer above."""
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(module), function)


def _read(path: Path) -> "DictConfig":
    if path.suffix == ".py":
        from detectron2.config import LazyConfig

        return LazyConfig.load(str(path))
    from acnet.safe_config import load_saved_config, parse_saved_config

    if path.suffix not in _READERS:
        return load_saved_config(path)
    bundle = _above(_READERS[path.suffix])(path)
    cfg = parse_saved_config(bundle.config, source=str(path))
    cfg.class_names = list(bundle.class_names)
    return cfg


def _parse(overrides: Sequence[str]) -> "list[Override]":
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    for text in overrides:
        if text.startswith("-"):
            raise UserError(
                "Options come before the first key=value, since all that follows it is taken for "
                f"config. Received {text!r} after it. Move {text} to the front."
            )
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UserError(
            f"Config values are changed by path.key=value. Received {' '.join(overrides)!r}: "
            f"{str(error).splitlines()[0]} Write, for example, train.max_iter=100."
        ) from error


def _check_key(cfg: "DictConfig", key: str) -> None:
    from omegaconf import DictConfig, OmegaConf

    parent_key, _, name = key.rpartition(".")
    parent = OmegaConf.select(cfg, parent_key) if parent_key else cfg
    if OmegaConf.is_list(parent):
        if name.lstrip("-").isdigit():
            return  # apply_overrides checks the index
        raise UserError(
            f"A part of a list is named by its place. Received {key!r}, where {parent_key} has "
            f"{len(parent)} parts. Write {parent_key}.0.{name}=VALUE, and so on for the others."
        )
    if isinstance(parent, DictConfig) and (name in parent or name in _arguments(parent)):
        return
    raise UserError(
        f"An override must name a key of the config. Received {key!r}, which it does not have."
        f"{_suggest(key, _keys(cfg))} To add a key on purpose, write +{key}=VALUE."
    )


def _arguments(node: "DictConfig") -> Iterable[str]:
    """What the object that a node describes takes besides the keys that the config spells out."""
    target = node.get("_target_")
    target = locate(target) if isinstance(target, str) else target
    if not callable(target):
        return ()
    if not inspect.isclass(target):
        return inspect.signature(target).parameters
    names: set[str] = set()
    for parent in target.__mro__:  # for as long as `**kwargs` hands arguments on
        if "__init__" not in vars(parent):
            continue
        parameters = inspect.signature(parent.__init__).parameters
        names |= parameters.keys()
        if all(one.kind is not inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
            break
    return names


def _keys(node: Any, prefix: str = "") -> list[str]:
    from omegaconf import DictConfig, OmegaConf

    if not isinstance(node, DictConfig):
        return []
    found = []
    for name in node:
        if name == "_target_":
            continue
        found.append(f"{prefix}{name}")
        if not OmegaConf.is_interpolation(node, name):
            found += _keys(node[name], f"{prefix}{name}.")
    return found


def _suggest(wanted: str, known: list[str]) -> str:
    close = difflib.get_close_matches(wanted, known, n=3, cutoff=0.6)
    if close:
        return f" Did you mean {' or '.join(close)}?"
    return f" There are: {', '.join(known)}."


def plain_config(cfg: Any, *, source: str) -> Any:
    """Return a config, or a node of it, as written to a file: no references, classes by name.

    Raises:
        UserError: It takes a value from outside, such as `${oc.env:HOME}`, which would put this
            machine's secrets into the file.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if not OmegaConf.is_config(cfg):
        return _with_names(cfg)
    resolver = next(_resolvers(OmegaConf.to_container(cfg, resolve=False)), None)
    if resolver is not None:
        raise UserError(
            "What is written beside weights may be read by anybody, so nothing from outside is "
            f"written into it. Received {source}, which has {resolver}. Write the value itself into"
            " the config's .py file, or read it there by os.environ."
        )
    try:
        return _with_names(OmegaConf.to_container(cfg, resolve=True))
    except OmegaConfBaseException as error:
        raise UserError(
            f"A config's references lead to its own values. Received {source}: "
            f"{str(error).splitlines()[0]}. Correct the reference."
        ) from error


def save_config(cfg: "DictConfig", path: Path) -> None:
    """Write the `config.yaml` of a training, which `load_saved_config` reads.

    Raises:
        UserError: As `plain_config`.
    """
    content = plain_config(cfg, source="the config")
    # A .py config may use variables of its own; those that build something are no part of the run.
    kept = {name: one for name, one in content.items() if name in _SECTIONS or not _builds(one)}
    write_text(path, yaml.safe_dump(kept, sort_keys=True))


def _builds(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(_builds, value.values()))
    return isinstance(value, list) and any(map(_builds, value))


def prediction_config(cfg: "DictConfig") -> str:
    """Return the yaml of what a prediction needs of a training's config.

    Raises:
        UserError: The config lacks what a prediction needs, or takes values from outside.
    """
    from omegaconf import OmegaConf

    plain = OmegaConf.create(plain_config(cfg, source="the training's config"))
    kept = OmegaConf.create({})
    for key in _PREDICTION_KEYS:
        value = OmegaConf.select(plain, key)
        if value is not None:
            OmegaConf.update(kept, key, value)
        elif key != "photos":  # without it photos are seen as they are
            raise UserError(
                f"A bundle takes {key} over from the training's config. Received one without it; "
                "use the config.yaml that the training saved."
            )
    return yaml.safe_dump(OmegaConf.to_container(kept), sort_keys=True)


def _resolvers(value: Any) -> Iterator[str]:
    """Yield every reference that is more than the way to another value of the config."""
    if isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _resolvers(one)
    elif isinstance(value, str) and re.search(r"\$\{[^{}]*(:|\$\{)", value):
        yield shown(value)


def _with_names(plain: Any) -> Any:
    if isinstance(plain, Mapping):
        return {key: _with_names(value) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_with_names(value) for value in plain]
    if plain is None or isinstance(plain, bool | int | float | str):
        return plain
    if not callable(plain):
        return repr(plain)
    name = f"{plain.__module__}.{plain.__qualname__}"
    known = known_constructor(name)
    return known if known and constructor_of(known) is plain else name
