"""From the folder of a training to a bundle, checked before it is written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from torch import nn

import acnet
from acnet.checkpoint.bundle import Bundle
from acnet.errors import UserError
from acnet.evaluation.count_model import CountModel

WEIGHTS = ("model_best.pth", "model_final.pth")
# What prediction reads of a config besides the model. The rest tells of the training's machine and
# folders, which is nobody's business.
PREDICTION_KEYS = (
    "dataloader.test.mapper.augmentations",
    "train.amp",
    "train.channels_last",
    "train.sync_bn",
)


def find_weights(run: Path) -> Path:
    """Return the best weights of a training, or its last where none were found best.

    Args:
        run: Its folder, or a weights file in it.

    Raises:
        UserError: There are none.
    """
    if run.is_file():
        return run
    for name in WEIGHTS:
        if (run / name).is_file():
            return run / name
    raise UserError(
        f"The weights to pack are a training's {' or '.join(WEIGHTS)}. Received {run}, which has "
        "neither; give the folder of a finished training, or a weights file in it."
    )


def prediction_config(cfg: DictConfig) -> str:
    """Return the yaml of what a prediction needs of a training's config.

    Args:
        cfg: As saved by the training.

    Returns:
        Yaml without references to anything that is left out.

    Raises:
        UserError: The config lacks what a prediction needs.
    """
    kept = OmegaConf.create({}, flags={"allow_objects": True})
    for key in ("model", *PREDICTION_KEYS):
        value = OmegaConf.select(cfg, key)
        if value is None:
            raise UserError(
                f"A bundle takes {key} over from the training's config. Received one without it; "
                "use the config.yaml that the training saved."
            )
        plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        OmegaConf.update(kept, key, _with_names(plain))
    return yaml.safe_dump(OmegaConf.to_container(kept), sort_keys=True)


def _with_names(plain: Any) -> Any:
    """Classes and functions by their names, as a saved config has them; tuples as lists."""
    if isinstance(plain, Mapping):
        return {key: _with_names(value) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_with_names(value) for value in plain]
    if callable(plain):
        return f"{plain.__module__}.{plain.__qualname__}"
    return plain


def check_classes(wanted: Sequence[str] | None, found: Sequence[str]) -> list[str]:
    """Return the names to store.

    Args:
        wanted: By the user, or None.
        found: By the config's test set, one for each class of the model.

    Raises:
        UserError: There are more or fewer names than classes.
    """
    if wanted is not None and len(wanted) != len(found):
        raise UserError(
            f"Each class of the model has a name, and it has {len(found)}. "
            f"Received --classes {' '.join(wanted)}; give {len(found)}."
        )
    return list(wanted or found)


def read_card(path: Path) -> str:
    """Read the text for people.

    Args:
        path: Of a Markdown file.

    Raises:
        UserError: It cannot be read as UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"A card is a text for people, in UTF-8. Received {path}: {error}. Give another file."
        ) from error


def halve(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return float32 tensors in float16, except where that would overflow.

    Args:
        state: A model's tensors.
    """
    halved = {}
    for name, tensor in state.items():
        half = tensor.half() if tensor.dtype == torch.float32 else tensor
        halved[name] = half if half.isfinite().all() else tensor
    return halved


def make_card(
    model: nn.Module, class_names: Sequence[str], count_model: CountModel | None, *, half: bool
) -> str:
    """Write the card of a model that brings none of its own.

    Args:
        model: With its weights.
        class_names: By class index.
        count_model: In the bundle, or None.
        half: Whether the tensors are stored in float16.
    """
    parameters = sum(parameter.numel() for parameter in model.parameters())
    counts = (
        "not fitted; counts need a --score-threshold, and have neither interval nor grade"
        if count_model is None
        else f"score {count_model.threshold:.3f} or more, merged by {count_model.merge}; intervals "
        f"of {count_model.coverage:.0%} from {count_model.interval_photos} photos"
    )
    return (
        "# ACNet\n\n"
        "For research only. Not a medical device.\n\n"
        f"- classes: {', '.join(class_names)}\n"
        f"- parameters: {parameters:,}, stored in {'float16' if half else 'float32'}\n"
        f"- counting: {counts}\n"
        f"- packed by acnet {acnet.__version__}\n"
        "- training data, licence and measured accuracy: not stated\n"
    )


def make_bundle(
    cfg: DictConfig,
    model: nn.Module,
    class_names: Sequence[str],
    *,
    count_model: CountModel | None = None,
    card: str | None = None,
    half: bool = False,
) -> tuple[dict[str, torch.Tensor], Bundle]:
    """Gather what a bundle holds.

    Args:
        cfg: Of the model's training.
        model: Filled with its weights.
        class_names: By class index.
        count_model: That was fitted to this model, or None.
        card: Text for people; a short one is made where it is None.
        half: Store float32 tensors in float16.

    Returns:
        Tensors and texts, for `write_bundle`.
    """
    state = dict(model.state_dict())
    bundle = Bundle(
        config=prediction_config(cfg),
        class_names=tuple(class_names),
        count_model=count_model,
        card=card or make_card(model, class_names, count_model, half=half),
    )
    return halve(state) if half else state, bundle
