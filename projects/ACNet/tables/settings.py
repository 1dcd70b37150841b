"""What must be equal for two rows to stand in one table, by names that a message can show."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from acnet.engine.precision import choose_precision, resolve_device
from acnet.errors import UserError
from acnet.files import file_sha256
from acnet.tables.canonical import canonical

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
    """Collect what all rows of a table have in common.

    Args:
        cfg: of a row, with all overrides applied.
        iterations: of the training.
        train_data: digest of the training set, see `test_sets.truth_digest`.
        overrides: key=value of the command line.

    Returns:
        Values of plain JSON types.
    """
    precision = choose_precision(cfg.train.amp, resolve_device(cfg.train.device))
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
        "start": _weights_digest(cfg.train.init_checkpoint),
        "overrides": sorted(one for one in overrides if not _is_neutral(one)),
    }


def model_settings(cfg: DictConfig) -> dict[str, Any]:
    """Collect what makes a row this row: its model.

    Args:
        cfg: of the row.
    """
    return canonical(cfg.model)


def differences(
    here: Mapping[str, Any], there: Mapping[str, Any], *, same_form: bool = True
) -> dict[str, tuple[Any, Any]]:
    """Compare two sets of settings.

    Args:
        here: of one row.
        there: of the other.
        same_form: both are of the paper's letter, or both are tuned.

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
        here: of one row or command.
        there: of the other.
        names: what they belong to.
        same_form: see `differences`.

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


def _weights_digest(name: str) -> str:
    if not name:
        return "random weights"
    return file_sha256(name)[:16] if Path(name).is_file() else name


def _is_neutral(override: str) -> bool:
    key = override.lstrip("+~").partition("=")[0]
    return any(key == one or key.startswith(f"{one}.") for one in NEUTRAL_KEYS)
