"""The yaml configs of detectron2's older kind, read without running anything in them."""

from pathlib import Path

import yaml
from detectron2.config import CfgNode, get_cfg

from acnet.errors import UserError
from acnet.modeling.yaml_config import add_acnet_config

_SUFFIXES = (".yaml", ".yml")


def is_yacs_file(path: Path) -> bool:
    """Tell a `CfgNode` yaml from the saved config of a LazyConfig training.

    Args:
        path: of any config, or a config's name.

    Returns:
        Whether it is a yaml whose keys are in capitals, such as MODEL, or _BASE_.
    """
    if path.suffix not in _SUFFIXES or not path.is_file():
        return False
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return False  # the reader of saved configs says what is wrong
    return isinstance(content, dict) and any(str(key).isupper() for key in content)


def load_yacs_config(path: Path) -> CfgNode:
    """Read a config over ACNet's defaults (`add_acnet_config`).

    Args:
        path: of the yaml; `_BASE_` in it names another one.

    Returns:
        The config.

    Raises:
        UserError: it is no yaml of plain values, or has a key that neither detectron2 nor ACNet
            knows.
    """
    cfg = get_cfg()
    add_acnet_config(cfg)
    try:
        # merge_from_file would fall back on PyYAML's unsafe loader, which runs what a file names.
        loaded = CfgNode.load_yaml_with_base(str(path), allow_unsafe=False)
        cfg.merge_from_other_cfg(CfgNode(loaded))
    # KeyError: an unknown key; AssertionError and ValueError: a value of another type or version.
    except (yaml.YAMLError, OSError, KeyError, ValueError, AssertionError) as error:
        raise UserError(
            "A config of detectron2's yaml kind has detectron2's keys and those of "
            f"acnet.modeling.add_acnet_config, with plain values. Received {path}: {error}. "
            "Mend the file, or use the config.yaml that a training wrote."
        ) from error
    return cfg
