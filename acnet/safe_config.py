"""A config that came with weights is data: checked as a whole before anything in it is used.

detectron2's LazyConfig reads yaml with PyYAML's unsafe loader, builds whatever `_target_` says and
resolves whatever `${...}` says: each lets a file that came with somebody's weights run any code.
So a `config.yaml`, and the config in a bundle or an exported model, are read here:

1. The yaml has limits on size, depth and numbers, and neither aliases nor tags. One tag is read, a
   tuple's, as the list that it is: omegaconf 2.4 writes it.
2. Nothing in it refers to anything else. The few values that a training's config links to another
   of its values are known by their place, and linked anew.
3. Everything that it builds is in `acnet.constructors`, with the arguments that are listed there.
4. Its model is built once without memory, so that what does not fit together is found here.

Only a `.py` config is code, and its user's own choice.
"""

import logging
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from acnet.constructors import (
    CONSTRUCTORS,
    WITHOUT_EFFECT,
    ConfigError,
    known_constructor,
    try_to_build,
)
from acnet.errors import UserError, printable, shown
from acnet.value_kinds import NEEDED, PHOTOS, TRAIN, described, is_of, is_plain, is_range

if TYPE_CHECKING:
    from omegaconf import DictConfig

logger = logging.getLogger(__name__)

MAX_CHARACTERS = 200_000  # of a yaml; a training's has 5,000
MAX_DEPTH = 32
MAX_LENGTH = 64  # of a list of arguments
MAX_DIGITS = 25  # of a number
MAX_CLASSES = 10_000
_TUPLE = "tag:yaml.org,2002:python/tuple"
# Which value another one is, by its place. Written out in a file, and linked again when it is read.
LINKS = {
    "dataloader.evaluator.dataset_name": "${dataloader.test.dataset.names}",
    "dataloader.evaluator.output_dir": "${train.output_dir}",
    "dataloader.test.mapper.image_format": "${model.input_format}",
    "dataloader.train.mapper.image_format": "${model.input_format}",
    "dataloader.train.seed": "${train.seed}",
    "model.channels_last": "${train.channels_last}",
    "model.head.num_classes": "${model.num_classes}",
    "model.roi_heads.box_predictor.input_shape.channels": "${model.roi_heads.hidden_channels}",
    "model.roi_heads.box_predictor.num_classes": "${model.roi_heads.num_classes}",
}
# The same links as earlier versions saved them.
_EARLIER_LINKS = {"${..test.dataset.names}", "${..num_classes}", "${...hidden_channels}"}
ROLES = {"model": "model", "optimizer": "optimizer", "lr_multiplier": "scheduler"}
LOADERS = {"train": "train_loader", "test": "test_loader", "evaluator": "evaluator"}


def load_saved_config(path: Path) -> "DictConfig":
    """Read a saved config.

    Raises:
        UserError: It is no yaml of plain values, or it builds something that is not a part of a
            detector of acnet or detectron2.
    """
    try:
        if not path.is_file():
            raise UserError(
                f"A saved config is a file. Received {path}, where there is none; give the "
                "config.yaml that a training wrote, or a config's name."
            )
        with path.open("rb") as file:
            text = file.read(4 * MAX_CHARACTERS + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise _refused(str(path), f"which cannot be read as UTF-8 ({error})") from error
    return parse_saved_config(text, source=str(path), folder=path.parent)


def parse_saved_config(text: str, *, source: str, folder: Path | None = None) -> "DictConfig":
    """Read the text of a saved config.

    Every target of it is then a name in `acnet.constructors`, and `folder`, where it lies, is the
    only place outside the current folder that it may write to. Errors name its `source`.

    Raises:
        UserError: As `load_saved_config`.
    """
    from omegaconf import OmegaConf

    checked, links = read_values(text, source=source)
    _keep_inside(checked, folder, source)
    cfg = OmegaConf.create(checked, flags={"allow_objects": True})
    for place, reference in links.items():
        OmegaConf.update(cfg, place, reference)
    try:
        try_to_build(OmegaConf.to_container(cfg, resolve=True))
    except ConfigError as fault:
        raise _refused(source, f"in which {fault}") from fault
    return cfg


def read_values(text: str, *, source: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the checked values of a saved config, and which are links to others, by place.

    Nothing that it names is built, since that needs torch.
    """
    try:
        content = _read_yaml(text)
        links = _take_links(content)
        checked = _checked_config(content)
        for place in NEEDED:
            if _at(checked, place.split(".")) is None:
                raise ConfigError(f"{place} is missing")
    except ConfigError as fault:
        raise _refused(source, f"in which {fault}") from fault
    return checked, links


def check_class_names(names: Any, *, source: str) -> tuple[str, ...]:
    """Return the names of classes that a file brings, if they are plain text.

    Raises:
        UserError: They are no list of such names.
    """
    is_list = isinstance(names, list | tuple) and len(names) <= MAX_CLASSES
    if not is_list or not all(is_plain(name) and len(name) <= 200 for name in names):
        raise UserError(
            "Classes are a list of names, plain text without references. "
            f"Received {source}, whose classes are {shown(names)}; get another file."
        )
    return tuple(printable(name).replace("\n", " ") for name in names)


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader, for which a tuple is a list."""


_PlainLoader.add_constructor(
    _TUPLE, lambda loader, node: loader.construct_sequence(node, deep=True)
)


def _read_yaml(text: str) -> dict[str, Any]:
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(f"there are more than {MAX_CHARACTERS:,} characters")
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise ConfigError("one part refers to another (an alias of yaml)")
            is_tuple = isinstance(event, yaml.SequenceStartEvent) and event.tag == _TUPLE
            if getattr(event, "tag", None) and not is_tuple:
                raise ConfigError(f"a value has the tag {shown(event.tag)}, and is no plain value")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise ConfigError(f"values are nested more than {MAX_DEPTH} deep")
            is_bare = isinstance(event, yaml.ScalarEvent) and event.style is None
            if is_bare and len(event.value) > MAX_DIGITS and event.value[:1] in "+-.0123456789":
                raise ConfigError(f"there is the number {shown(event.value)}")
        content = yaml.load(text, Loader=_PlainLoader)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ConfigError(f"is no yaml of plain values: {str(error)[:300]}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"a {type(content).__name__} is in place of names with values")
    return content


def _take_links(content: dict[str, Any]) -> dict[str, str]:
    """Remove values that are linked to another one of the config, and return the links."""
    links = {}
    for place, reference in LINKS.items():
        *above, name = place.split(".")
        parent = _at(content, above)
        if not isinstance(parent, dict) or name not in parent:
            continue
        value, target = parent[name], _at(content, reference[2:-1].split("."))
        as_before = isinstance(value, str) and value in {reference, *_EARLIER_LINKS}
        if target is not None and (as_before or (value == target and type(value) is type(target))):
            del parent[name]
            links[place] = reference
    return links


def _at(content: Any, path: list[str]) -> Any:
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return content


def _checked_config(content: dict[str, Any]) -> dict[str, Any]:
    checked = {}
    for name, value in content.items():
        if name in ROLES:
            checked[name] = _checked(value, ROLES[name], name)
        elif name == "train":
            checked[name] = _mapping(value, TRAIN, name, others=True)
        elif name == "photos":
            checked[name] = _mapping(value, PHOTOS, name)
        elif name == "dataloader":
            checked[name] = _mapping(value, LOADERS, name, others=True, partial=True)
        else:
            checked[_name(name, "")] = _plain(value, str(name))
    return checked


def _checked(value: Any, kind: Any, place: str, *, partial: bool = False) -> Any:
    """Return a value as it is used, if it is of the kind; see `acnet.value_kinds`."""
    if isinstance(kind, str):
        return _node(value, kind, place, partial=partial)
    if isinstance(kind, dict):
        return _mapping(value, kind, place, others=True, partial=partial)
    if isinstance(kind, tuple) and not is_range(kind):
        faults = []
        for one in kind:
            try:
                return _checked(value, one, place, partial=partial)
            except ConfigError as fault:
                faults.append(fault)
        raise faults[0]
    if isinstance(kind, list) and isinstance(value, list):
        if len(value) > MAX_LENGTH:
            raise ConfigError(f"{place} has {len(value)} values, above {MAX_LENGTH}")
        each = enumerate(value)
        return [_checked(one, kind[0], f"{place}[{i}]", partial=partial) for i, one in each]
    if not is_of(value, kind):
        raise ConfigError(f"{place} is {shown(value)}, where {described(kind)} is needed")
    return value


def _node(value: Any, role: str, place: str, *, partial: bool) -> dict[str, Any]:
    """Check what is to be built, or, in a bundle, the few arguments of it that are kept."""
    if not isinstance(value, dict):
        raise ConfigError(f"{place} is {shown(value)}, where a part of the detector is needed")
    if "_target_" not in value and partial:
        arguments: dict[str, Any] = {}
        for its_role, its_arguments in CONSTRUCTORS.values():
            arguments |= its_arguments if its_role == role else {}
        return _mapping(value, arguments, place, partial=True)
    target = value.get("_target_")
    name = known_constructor(target)
    if name is None:
        raise ConfigError(
            f"{place} names {shown(target)}, and only parts of acnet and detectron2 are built "
            "from a file that may come from anybody"
        )
    its_role, arguments = CONSTRUCTORS[name]
    if its_role != role:
        raise ConfigError(f"{place} names {shown(target)}, which is no {role.replace('_', ' ')}")
    without_effect = WITHOUT_EFFECT.get(name, {})
    given = {
        key: one
        for key, one in value.items()
        if key != "_target_" and not (key in without_effect and one == without_effect[key])
    }
    return {"_target_": name, **_mapping(given, arguments, place)}


def _mapping(
    value: Any, kinds: dict, place: str, *, others: bool = False, partial: bool = False
) -> dict[str, Any]:
    """Check a mapping value by value; `others` lets plain values of other names pass."""
    if not isinstance(value, dict):
        raise ConfigError(f"{place} is {shown(value)}, where names with values are needed")
    checked = {}
    for key, one in value.items():
        name = _name(key, place)
        its_place = f"{place}.{name}"
        if name in kinds or "*" in kinds:
            kind = kinds.get(name, kinds.get("*"))
            checked[name] = _checked(one, kind, its_place, partial=partial)
        elif others:
            checked[name] = _plain(one, its_place)
        else:
            raise ConfigError(f"{its_place} is unknown; there are {', '.join(sorted(kinds))}")
    return checked


def _plain(value: Any, place: str) -> Any:
    if isinstance(value, dict):
        return {_name(key, place): _plain(one, f"{place}.{key}") for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, f"{place}[{i}]") for i, one in enumerate(value)]
    is_number = isinstance(value, int | float) and math.isfinite(value)
    if not (value is None or isinstance(value, bool) or is_number or is_plain(value)):
        raise ConfigError(f"{place} is {shown(value)}, which is no plain value")
    return value


def _name(key: Any, place: str) -> str:
    """Return a name of a value, if it is one."""
    if not isinstance(key, str) or not re.fullmatch(r"\w[\w@ -]{0,99}", key) or key == "_target_":
        raise ConfigError(f"{place or 'it'} has {shown(key)}, which is no name of a plain value")
    return key


def _keep_inside(cfg: dict[str, Any], folder: Path | None, source: str) -> None:
    """Let a config neither write outside the current folder or its own, nor fetch anything."""
    train = cfg.get("train", {})
    output = train.get("output_dir")
    if output is not None:
        path = Path(output)
        is_own = folder is not None and path.absolute() == folder.absolute()
        if (path.is_absolute() or ".." in path.parts) and not is_own:
            train["output_dir"] = str(folder) if folder is not None else "output"
    if re.match(r"(?!detectron2://[\w/.-]+$)\w+:", train.get("init_checkpoint", "")):
        logger.warning("%s: train.init_checkpoint is an address, and is left out", source)
        train["init_checkpoint"] = ""
    evaluator = cfg.get("dataloader", {}).get("evaluator", {})
    if evaluator.get("output_dir") is not None:  # another one than the training's
        evaluator["output_dir"] = train.get("output_dir", "output")


def _refused(source: str, fault: str) -> UserError:
    return UserError(
        "A config that comes with weights is plain data: a yaml of plain values that names only "
        f"parts of acnet and detectron2. Received {source}, {fault}. Use the config.yaml that a "
        "training wrote, or, for code of your own, the config's .py file."
    )
