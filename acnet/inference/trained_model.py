"""A model as its training left it, with what the config says about its input."""

import copy
import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from detectron2.config import CfgNode, instantiate
from detectron2.data import transforms as T
from detectron2.modeling import build_model as build_yacs_model
from omegaconf import DictConfig, OmegaConf

from acnet.checkpoint import load_trained_weights
from acnet.config import load_config
from acnet.engine.precision import Precision, choose_precision, resolve_device
from acnet.engine.train import build_model
from acnet.errors import UserError
from acnet.inference.class_names import class_names
from acnet.inference.optimize import NOTHING, Optimizations, optimize_for_inference
from acnet.inference.yacs_config import is_yacs_file, load_yacs_config

Config: TypeAlias = str | os.PathLike | DictConfig | CfgNode

# What `train.amp` would say for each precision that is asked for by name.
_AMP_BY_PRECISION = {
    "auto": {"enabled": "auto", "dtype": "auto"},
    "float32": {"enabled": False, "dtype": "auto"},
    "bfloat16": {"enabled": True, "dtype": "bfloat16"},
    "float16": {"enabled": True, "dtype": "float16"},
}
PRECISIONS = ("config", *_AMP_BY_PRECISION)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedModel:
    """A model that is ready to predict.

    Args:
        model: in evaluation mode, on its device.
        precision: what it computes with.
        input_format: "BGR" or "RGB".
        augmentations: what the config's test set does to a picture before the model sees it.
        class_names: by class index.
    """

    model: torch.nn.Module
    precision: Precision
    input_format: str
    augmentations: list[T.Augmentation]
    class_names: list[str]


def load_trained_model(
    config: Config,
    weights: str | os.PathLike,
    device: str = "auto",
    precision: str = "auto",
    optimizations: Optimizations = NOTHING,
) -> TrainedModel:
    """Build a config's model and fill it with trained weights.

    Args:
        config: a name such as "toy/acnet_r18", a LazyConfig file or its content, or a yaml of
            detectron2's older kind (`CfgNode`) or its content.
        weights: a checkpoint of a training with this config.
        device: "auto" (a GPU where there is one), or a name that torch knows.
        precision: "auto" (the fastest that the device computes natively), "config" (that of the
            training), "float32", "bfloat16" or "float16".
        optimizations: what to change for speed; see `acnet.inference.optimize`.

    Returns:
        The model.

    Raises:
        UserError: unknown config, device or precision; weights that cannot be read or do not fit.
    """
    if precision not in PRECISIONS:
        raise UserError(
            f"The precision must be one of {', '.join(PRECISIONS)}. Received {precision!r}; "
            "choose one of these."
        )
    yacs = isinstance(config, CfgNode)
    if not isinstance(config, CfgNode | DictConfig):
        yacs = is_yacs_file(Path(config))
        config = load_yacs_config(Path(config)) if yacs else load_config(config)
    build = _from_yacs if yacs else _from_lazy
    trained = build(copy.deepcopy(config), weights, resolve_device(device), precision)
    if optimizations == NOTHING:
        return trained
    model = optimize_for_inference(
        trained.model, dtype=trained.precision.dtype, optimizations=optimizations
    )
    return dataclasses.replace(trained, model=model)


def _from_lazy(
    cfg: DictConfig, weights: str | os.PathLike, device: torch.device, precision: str
) -> TrainedModel:
    cfg.train.device = str(device)
    model = build_model(cfg).eval()
    load_trained_weights(model, weights)
    dataset = OmegaConf.select(cfg, "dataloader.test.dataset.names")
    count = OmegaConf.select(cfg, "model.roi_heads.num_classes")
    # A bundle says the names, since the data sets of its training are not here.
    names = OmegaConf.select(cfg, "class_names") or class_names(dataset, count)
    return TrainedModel(
        model=model,
        precision=_precision(precision, cfg.train.amp, device),
        input_format=cfg.model.input_format,
        augmentations=list(instantiate(cfg.dataloader.test.mapper.augmentations)),
        class_names=list(names),
    )


def _from_yacs(
    cfg: CfgNode, weights: str | os.PathLike, device: torch.device, precision: str
) -> TrainedModel:
    cfg.defrost()
    cfg.MODEL.DEVICE = str(device)
    model = build_yacs_model(cfg).eval()
    load_trained_weights(model, weights)
    shortest, longest = cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST
    amp = {"enabled": cfg.SOLVER.AMP.ENABLED, "dtype": "auto"}
    return TrainedModel(
        model=model,
        precision=_precision(precision, OmegaConf.create(amp), device),
        input_format=cfg.INPUT.FORMAT,
        # As in detectron2, a size of 0 switches resizing off.
        augmentations=[T.ResizeShortestEdge(shortest, longest)] if shortest > 0 else [],
        class_names=class_names(cfg.DATASETS.TEST, cfg.MODEL.ROI_HEADS.NUM_CLASSES),
    )


def _precision(name: str, amp_of_config: DictConfig, device: torch.device) -> Precision:
    named = _AMP_BY_PRECISION.get(name)
    return choose_precision(amp_of_config if named is None else OmegaConf.create(named), device)
