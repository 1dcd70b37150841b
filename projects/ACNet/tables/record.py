"""What one training gave: a JSON file of numbers, and beside it the bootstrap's replicates.

Both are small enough for a repository, so that a table can be continued on another machine. The
replicates of two records of the same set are of the same drawn photos, hence paired.

A record says under which settings it was made, which must be equal for two rows to stand in one
table. A part of a config becomes plain names and values, in which two configs that mean the same
read the same: without the arguments that have their default's value, so that an option which is
added to a class later leaves the rows that were measured before it as they are, and with our own
classes named without their module, so that they may move.

Shape shorthand: R replicates, M numbers (`RESAMPLED`).
"""

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc import locate
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from acnet.engine.precision import choose_precision, resolve_device
from acnet.errors import UserError
from acnet.files import atomic_write, file_sha256, write_json

SCHEMA_VERSION = 1
UNDEFINED = np.iinfo(np.uint16).max
STEPS_A_PERCENT = 100  # replicates are kept to 0.01 (percent, or lesions)
# Differ between two runs of the same command, and say nothing of the model.
TIME_KEYS = ("times", "machine", "versions", "source")

STEP_TIME = "seconds_a_step"
COUNT_ERROR = "count MAE"
MAX_DETECTIONS = 1000  # of a photo and class
REPLICATES = 1000
BOOTSTRAP_SEED = 0
# Numbers with an interval; the first is the headline, which is probably what the paper calls mAP,
# and the last, in lesions a photo, is not in older records.
RESAMPLED = {
    "AP50-VOC07": "AP50, VOC 2007",
    f"AP50@{MAX_DETECTIONS}": "AP50",
    f"AP@{MAX_DETECTIONS}": "AP",
    "sensitivity@1": "sens. at 1 FP",
    "FROC": "FROC",
    COUNT_ERROR: "count error",
}
HEADLINE = next(iter(RESAMPLED))


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """One row, trained with one seed and measured on each test set.

    The content is that of the JSON file: these, `model` (the row's own settings), `size`, `tests`
    (by set), `curve` (by iteration), and `TIME_KEYS`.
    """

    row: str  # name of the config
    form: str  # one of `rows.FORMS`
    seed: int  # of the training
    settings: Mapping[str, Any]  # what all rows of a table share
    content: Mapping[str, Any]
    replicates: Mapping[str, np.ndarray]  # by set, (R, M); NaN where undefined
    path: Path  # of the JSON file

    @property
    def digests(self) -> dict[str, str]:
        """Digest of each test set, by name."""
        return {name: test["data"] for name, test in self.content["tests"].items()}

    def value(self, test: str, key: str) -> float | None:
        """Return a number on all photos of a set; None where it is undefined."""
        return self.content["tests"][test]["numbers"].get(key)


def record_path(results: Path, config: str, seed: int) -> Path:
    """Return where the record of a row and a seed is kept, below the folder of all records."""
    return results / config / f"seed_{seed}.json"


def write_record(
    path: Path, content: Mapping[str, Any], replicates: Mapping[str, np.ndarray]
) -> None:
    """Write a record; the JSON file comes last, so that a record that can be read is whole."""
    steps = {name: _to_steps(values) for name, values in replicates.items()}
    with atomic_write(path.with_suffix(".npz")) as temporary:
        np.savez_compressed(temporary, **steps)
    write_json(path, {"schema_version": SCHEMA_VERSION, **content}, indent=1)


def read_record(path: Path) -> Record:
    """Read a record from its JSON file and the .npz beside it.

    Raises:
        UserError: it is broken, or of another version of this format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {content['schema_version']}")
        # Older records call the paper's form "letter", and name classes with their modules.
        content["form"] = content["form"].replace("letter", "paper")
        content |= {key: without_modules(content[key]) for key in ("settings", "model")}
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
            replicates = {name: _from_steps(arrays[name]) for name in arrays.files}
        missing = set(content["tests"]) - set(replicates)
        if missing:
            raise ValueError(f"the .npz file lacks {', '.join(sorted(missing))}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"A record is a JSON file of version {SCHEMA_VERSION} with its .npz beside it. "
            f"Received {path}: {error}. Delete it, and the same command measures it again."
        ) from error
    named = {name: content[name] for name in ("row", "form", "seed", "settings")}
    return Record(**named, content=content, replicates=replicates, path=path)


def read_records(results: Path) -> Iterator[Record]:
    """Read all records below a folder, in sorted order; a folder that is not there has none."""
    for path in sorted(results.rglob("seed_*.json")):
        yield read_record(path)


def _to_steps(values: np.ndarray) -> np.ndarray:
    steps = np.full(values.shape, UNDEFINED, dtype=np.uint16)
    defined = ~np.isnan(values)
    steps[defined] = np.rint(values[defined] * STEPS_A_PERCENT)
    return steps


def _from_steps(steps: np.ndarray) -> np.ndarray:
    return np.where(steps == UNDEFINED, np.nan, steps / STEPS_A_PERCENT)


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
    "seconds": "give --seconds {there}",
    "overrides": "give the same --opts",
    "data": "make the data anew, or name its folder with --datasets",
    "results version": "measure all rows anew",
}


def shared_settings(
    cfg: DictConfig, *, iterations: int, train_data: str, overrides: Sequence[str]
) -> dict[str, Any]:
    """Collect what all rows of a table have in common, as values of plain JSON types."""
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
    """Compare two sets of settings name by name; settings within settings by dotted names."""
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
    """Refuse two sets of settings that differ, saying in what, and what to do about it."""
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

    Classes and functions become their names.
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
