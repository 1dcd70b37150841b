"""A model that is ready to predict, with all that belongs to its weights.

The weights say, in themselves or by files beside them, by which config the model is built, what its
classes are called, what is done to photos before the model sees them, and which scores count.
"""

import copy
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from detectron2.config import instantiate
from detectron2.data import transforms as T
from omegaconf import DictConfig, OmegaConf

from acnet.checkpoint import load_trained_weights
from acnet.checkpoint.bundle import is_bundle, read_bundle, resolve_weights
from acnet.config import change_config, config_of, load_config
from acnet.engine.precision import choose_precision, resolve_device
from acnet.errors import UserError, WeightsMismatchError, printable, shorten
from acnet.evaluation.count_model import CountModel, check_merge, read_count_model
from acnet.export.metadata import ONNX, choose_engine, read_export
from acnet.files import digest
from acnet.inference.engines import EagerEngine, Engine, load_exported_model
from acnet.inference.optimize import NOTHING, Optimizations, optimize_for_inference
from acnet.photos.grid import TilingOptions
from acnet.photos.results import DEFAULT_THRESHOLD, CountRule
from acnet.photos.scale import PhotoSizing

logger = logging.getLogger(__name__)

Config: TypeAlias = str | os.PathLike | DictConfig

# What a training leaves in its folder, the best first.
CHECKPOINTS = ("model_best.pth", "model_final.pth")
BLANK_PX = 64  # of a first picture
COUNT_MODEL = "count.json"  # beside a checkpoint
# Of a config: training has no say in what a finished model finds.
DECIDING_KEYS = ("model", "dataloader.test.mapper", "train.amp", "train.channels_last")
# What `train.amp` would say for each precision that is asked for by name.
_AMP_BY_PRECISION = {
    "auto": {"enabled": "auto", "dtype": "auto"},
    "float32": {"enabled": False, "dtype": "auto"},
    "bfloat16": {"enabled": True, "dtype": "bfloat16"},
    "float16": {"enabled": True, "dtype": "float16"},
}
PRECISIONS = ("config", *_AMP_BY_PRECISION)


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedModel:
    """What runs the weights, trained or exported, and how photos come to it.

    Args:
        engine: Finds lesions in tiles.
        input_format: "BGR" or "RGB".
        augmentations: What is done to a picture before the model sees it.
        class_names: By class index.
        tiling: How photos are cut where nobody says otherwise.
        sizing: At which size photos were seen in training.
        optimizations: What was changed in the model for speed.
        weights: The file.
        config_digest: Hash of what decides in the config; "" where the file holds its config.
    """

    engine: Engine
    input_format: str
    augmentations: list[T.Augmentation]
    class_names: list[str]
    tiling: TilingOptions
    sizing: PhotoSizing
    optimizations: Optimizations
    weights: Path
    config_digest: str


def find_weights(source: str | os.PathLike | None) -> Path:
    """Find the weights file that a source stands for.

    Args:
        source: A bundle, checkpoint or exported file, the folder of a training, or the name of
            bundled weights; None for the bundled default.

    Raises:
        UserError: There is none, or the source is no path or name.
    """
    if source is not None and not isinstance(source, str | os.PathLike):
        raise UserError(
            "Weights are given by a path or a name, or left out for the bundled ones. Received "
            f"{type(source).__name__}; give the path of a file or of a training's folder."
        )
    if source is None or not Path(source).is_dir():
        return resolve_weights(source)
    for name in CHECKPOINTS:
        if (Path(source) / name).is_file():
            return Path(source) / name
    raise UserError(
        f"The folder of a training holds {' or '.join(CHECKPOINTS)}. Received {source}, which has "
        "neither; give the path of a checkpoint."
    )


def load_model(
    weights: str | os.PathLike,
    config: Config | None = None,
    overrides: Sequence[str] = (),
    *,
    device: str = "auto",
    precision: str = "auto",
    optimize: bool | Optimizations = True,
    engine: str = "auto",
) -> LoadedModel:
    """Make weights ready to predict.

    Args:
        weights: A file, see `find_weights`.
        config: That built the model: a name such as "toy/acnet_r18", a file, or what `load_config`
            gave; None for the one that is in or beside the weights.
        overrides: Changes to the config, "path.key=value".
        device: "auto" (a GPU where there is one), or a name that torch knows.
        precision: "auto" (bfloat16 or float16 where the device computes it natively; that of an
            export), "config" (that of the training, or of the export), or a name.
        optimize: Change the model for speed, which moves results by rounding only; False for the
            model as it was trained, or the single changes to make.
        engine: "auto" for what suits the file, or a name (see `acnet.export.metadata`).

    Raises:
        UserError: Unknown config, device, precision or engine; weights that cannot be read or do
            not fit.
    """
    weights = Path(weights)
    choices = Optimizations() if optimize is True else optimize or NOTHING
    if weights.suffix == ONNX:
        if config is not None or overrides or choices.compile:
            raise UserError(
                "An exported file holds the config that its model was built by, takes no other, "
                f"and is compiled by its engine. Received {weights} with a config, changes to it, "
                "or compile; leave these out, or export again."
            )
        exported = load_exported_model(weights, engine=engine, device=device, precision=precision)
        return LoadedModel(
            engine=exported.engine,
            input_format=exported.input_format,
            augmentations=exported.augmentations,
            class_names=exported.class_names,
            tiling=_tiling(exported.augmentations, exported.settings.tile_px, exact=True),
            sizing=PhotoSizing(**exported.photos),
            optimizations=NOTHING,
            weights=weights,
            config_digest="",
        )
    if engine != "auto":
        choose_engine(engine, weights)
    if precision not in PRECISIONS:
        raise UserError(
            f"The precision must be one of {', '.join(PRECISIONS)}. Received {precision!r}; "
            "choose one of these."
        )
    cfg = _config(weights, config, overrides)
    on_device = resolve_device(device)
    named = _AMP_BY_PRECISION.get(precision)
    amp = cfg.train.amp if named is None else OmegaConf.create(named)
    computed = choose_precision(amp, on_device)
    model = instantiate(cfg.model).to(on_device).eval()
    if cfg.train.channels_last:
        model = model.to(memory_format=torch.channels_last)
    load_trained_weights(model, weights)
    if choices != NOTHING:
        model = optimize_for_inference(model, dtype=computed.dtype, optimizations=choices)
    augmentations = list(instantiate(cfg.dataloader.test.mapper.augmentations))
    eager = EagerEngine(model, computed)
    class_names = list(cfg.get("class_names") or _classes_of_the_test_set(cfg))
    _check_parts(eager, weights, class_names)
    return LoadedModel(
        engine=eager,
        input_format=cfg.model.input_format,
        augmentations=augmentations,
        class_names=class_names,
        tiling=_tiling(augmentations, TilingOptions.tile_px, exact=False),
        sizing=PhotoSizing(**cfg.get("photos", {})),
        optimizations=choices,
        weights=weights,
        config_digest=config_digest(cfg),
    )


def _check_parts(engine: EagerEngine, weights: Path, class_names: Sequence[str]) -> None:
    """Let a blank tile through, which meets any two parts that do not fit each other."""
    num_classes = engine.model.roi_heads.num_classes
    if len(class_names) != num_classes:
        raise WeightsMismatchError(
            f"Each class that a model finds has a name. Received {weights} with {num_classes} "
            f"classes and the names {shorten(class_names)}; use the config of its training."
        )
    blank = torch.zeros(3, BLANK_PX, BLANK_PX, dtype=torch.uint8)
    try:
        engine.detect([{"image": blank, "height": BLANK_PX, "width": BLANK_PX}])
    except Exception as error:  # each part has its own way to say what does not fit
        raise WeightsMismatchError(
            "A model's parts take what the parts before them give. Received "
            f"{weights}, whose model fails on a blank picture ({type(error).__name__}: "
            f"{printable(' '.join(str(error).split()))[:200]}); use the config of its training."
        ) from error


def _config(weights: Path, config: Config | None, overrides: Sequence[str]) -> DictConfig:
    if isinstance(config, DictConfig):
        return change_config(copy.deepcopy(config), overrides) if overrides else config
    return load_config(config_of(weights) if config is None else config, overrides)


def _classes_of_the_test_set(cfg: DictConfig) -> list[str]:
    from acnet.data.register import classes_of

    return classes_of(cfg)


def _tiling(augmentations: list[T.Augmentation], tile_px: int, *, exact: bool) -> TilingOptions:
    """Cut no photos for a model whose test set resizes pictures: it was trained on whole ones."""
    return TilingOptions(
        tile_px=None if augmentations else tile_px,
        overlap_px=min(TilingOptions.overlap_px, tile_px // 4),
        exact=exact,
    )


def find_count_rule(
    weights: Path,
    merge_name: str,
    *,
    count_model: CountModel | str | os.PathLike | None = None,
    score_threshold: float | None = None,
) -> CountRule:
    """Choose which detections count.

    Args:
        weights: In or beside which a count model is looked for where none is given.
        merge_name: What sizes photos and merges their tiles; a count model is fitted to one way.
        count_model: Or its file.
        score_threshold: To count without a model.

    Returns:
        The rule. A count model of the weights' own that was fitted to photos of another size gives
        its threshold alone, without interval and grade.

    Raises:
        UserError: Both are given, or the model cannot be used.
    """
    if count_model is not None and score_threshold is not None:
        raise UserError(
            "A count model brings the score threshold that was fitted with it. Received "
            "--count-model and --score-threshold; leave one of them out."
        )
    if score_threshold is not None:
        return CountRule(threshold=score_threshold)
    source = f"{weights}"
    is_own = count_model is None
    if is_own:
        if weights.suffix == ONNX:
            count_model = read_export(weights).count_model
        elif is_bundle(weights):
            count_model = read_bundle(weights).count_model
        elif weights.with_name(COUNT_MODEL).is_file():
            count_model = weights.with_name(COUNT_MODEL)
    if count_model is None:
        return CountRule(threshold=DEFAULT_THRESHOLD)
    if not isinstance(count_model, CountModel):
        source = f"--count-model {count_model}"
        count_model = read_count_model(Path(count_model))
    same_merging = count_model.merge.partition(",")[0] == merge_name.partition(",")[0]
    if is_own and same_merging and count_model.merge != merge_name:
        logger.warning(
            "The count model of %s was fitted to %r, and %r is asked for: its threshold is used, "
            "and counts come without interval and grade.",
            *(weights, count_model.merge, merge_name),
        )
        return CountRule(threshold=count_model.threshold)
    check_merge(count_model, merge_name, source=source)
    return CountRule(threshold=count_model.threshold, model=count_model)


def config_digest(cfg: DictConfig) -> str:
    """Return a hash of the parts of a config that decide what a trained model finds."""
    chosen = (OmegaConf.select(cfg, key) for key in DECIDING_KEYS)
    plain = [
        OmegaConf.to_container(part, resolve=True) if OmegaConf.is_config(part) else part
        for part in chosen
    ]
    return digest(plain)
