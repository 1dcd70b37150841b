"""A model that is ready to predict, with all that belongs to its weights.

The weights say, in themselves or by files beside them, by which config the model is built, what its
classes are called, what is done to photos before the model sees them, and which scores count.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np

from acnet.checkpoint.bundle import is_bundle, read_bundle, resolve_weights
from acnet.errors import UserError
from acnet.evaluation.count_model import CountModel, check_merge, read_count_model
from acnet.export.metadata import ENGINES, ONNX, choose_engine, read_export
from acnet.files import file_sha256
from acnet.inference.engines import NOTHING, Engine, ExportedEngine, Optimizations
from acnet.inference.runtimes import open_session
from acnet.photos.grid import PhotoSizing, TilingOptions
from acnet.photos.results import DEFAULT_THRESHOLD, CountRule
from acnet.safe_config import read_values

if TYPE_CHECKING:
    from omegaconf import DictConfig

logger = logging.getLogger(__name__)

Config: TypeAlias = Union[str, os.PathLike, "DictConfig"]

# What a training leaves in its folder, the best first.
CHECKPOINTS = ("model_best.pth", "model_final.pth")
COUNT_MODEL = "count.json"  # beside a checkpoint


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedModel:
    """What runs the weights, trained or exported, and how photos come to it.

    Args:
        input_format: "BGR" or "RGB".
        resize: What is done to a picture (H, W, 3) before the model sees it; None for nothing.
        class_names: By class index.
        tiling: How photos are cut where nobody says otherwise.
        sizing: At which size photos were seen in training.
        optimizations: What was changed in the model for speed.
        config_digest: Hash of what decides in the config; "" where the file holds its config.
    """

    engine: Engine
    input_format: str
    resize: Callable[[np.ndarray], np.ndarray] | None
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
    weights = _runnable(Path(weights), engine)
    choices = Optimizations() if optimize is True else optimize or NOTHING
    name = choose_engine(engine, weights)
    if weights.suffix == ONNX:
        if config is not None or overrides or choices.compile:
            raise UserError(
                "An exported file holds the config that its model was built by, takes no other, "
                f"and is compiled by its engine. Received {weights} with a config, changes to it, "
                "or compile; leave these out, or export again."
            )
        return _load_exported_model(weights, name, device=device, precision=precision)
    from acnet.inference.eager import load_eager_model

    options = {"device": device, "precision": precision, "optimizations": choices}
    return load_eager_model(weights, config, overrides, **options)


def _runnable(weights: Path, engine: str) -> Path:
    """Return the weights, or the ONNX file beside them where the engine is one for such files."""
    wants_eager = engine == "eager" or (engine == "auto" and ENGINES["eager"].is_installed)
    if weights.suffix == ONNX or wants_eager or engine not in ("auto", *ENGINES):
        return weights
    exported = weights.with_suffix(ONNX)
    if exported.is_file():
        if read_export(exported).settings.weights_sha256 == file_sha256(weights):
            return exported
        fault = f"{exported.name} beside it is of other weights"
    else:
        fault = f"no {exported.name} is beside it"
    if engine != "auto":
        return weights  # which this engine does not run
    raise UserError(
        "Checkpoints and bundles need torch and detectron2, which are not installed here, or an "
        f"ONNX file beside them. Received {weights}, and {fault}; make it where they are "
        f"installed: `acnet export {weights.name} --output {exported.name}`."
    )


def _load_exported_model(path: Path, engine: str, *, device: str, precision: str) -> LoadedModel:
    """Make an exported file ready, without torch and without building what its config names."""
    contents = read_export(path)
    values, _ = read_values(contents.config, source=str(path))
    augmentations = values["dataloader"]["test"]["mapper"]["augmentations"]
    session = open_session(path, engine, device=device, precision=precision)
    return LoadedModel(
        engine=ExportedEngine(session, contents.settings, len(contents.class_names)),
        input_format=values["model"]["input_format"],
        resize=_resize_by(augmentations),
        class_names=list(contents.class_names),
        tiling=tiling_of(contents.settings.tile_px, whole=bool(augmentations), exact=True),
        sizing=PhotoSizing(**values.get("photos", {})),
        optimizations=NOTHING,
        weights=path,
        config_digest="",
    )


def _resize_by(augmentations: list[dict]) -> Callable[[np.ndarray], np.ndarray] | None:
    if not augmentations:
        return None
    from acnet.constructors import build  # what these name is part of detectron2
    from acnet.inference.eager import resize_by

    return resize_by(build(augmentations))


def tiling_of(tile_px: int, *, whole: bool, exact: bool) -> TilingOptions:
    """Cut no photos for a model whose test set resizes pictures: it was trained on whole ones."""
    return TilingOptions(
        tile_px=None if whole else tile_px,
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
