"""Evaluation of a model on the config's test set, in training and on its own."""

import logging
import math
from argparse import Namespace
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from detectron2.config import instantiate
from detectron2.evaluation import inference_context, inference_on_dataset, print_csv_format
from detectron2.utils import comm
from omegaconf import DictConfig

from acnet.checkpoint import load_trained_weights
from acnet.engine.launch import broadcast_buffers, unwrap
from acnet.engine.loader import load_data, outlive_sigterm
from acnet.engine.precision import choose_precision, resolve_device
from acnet.engine.run_folder import log_environment
from acnet.errors import UserError
from acnet.files import write_json

logger = logging.getLogger(__name__)

FAST_DEV_RUN_BATCHES = 2


def default_eval(
    cfg: DictConfig, model: torch.nn.Module, *, before_batch: Callable[[], None] | None = None
) -> dict[str, dict[str, float]]:
    """Evaluate a model on `dataloader.test` by `dataloader.evaluator` and log the table.

    The model may be in any mode and wrapped for several processes, and computes in the precision of
    the training (`train.amp`). With `train.fast_dev_run` it stops after a few images. What
    `before_batch` raises ends the evaluation.

    Returns:
        The evaluator's results, task by task, in the first process; {} in the others.
    """
    model = unwrap(model)
    broadcast_buffers(model)
    device = next(model.parameters()).device
    loader = load_data(cfg.dataloader.test)
    loader.worker_init_fn = outlive_sigterm
    if cfg.train.fast_dev_run:
        loader = list(islice(loader, FAST_DEV_RUN_BATCHES))  # a list, since its length is asked for
    with inference_context(model):
        results = inference_on_dataset(
            choose_precision(cfg.train.amp, device).autocast()(model.__call__),
            loader,
            instantiate(cfg.dataloader.evaluator),
            callbacks={"before_inference": before_batch} if before_batch else None,
        )
    print_csv_format(results)
    return results


def evaluate_only(cfg: DictConfig, args: Namespace) -> dict[str, dict[str, float]]:
    """Evaluate the weights that the config or the run's folder gives, and write the results.

    `train.init_checkpoint` names the weights; with `--resume` the last checkpoint in
    `train.output_dir` is used. The first process writes `evaluation.json` there.

    Raises:
        UserError: there are no weights to evaluate, or they do not fill the model.
    """
    weights = _find_trained_weights(cfg, args)
    model = instantiate(cfg.model).to(resolve_device(cfg.train.device))
    load_trained_weights(model, weights)
    log_environment()
    results = default_eval(cfg, model)
    if comm.is_main_process():
        path = Path(cfg.train.output_dir) / "evaluation.json"
        write_json(path, {"weights": weights, "results": _without_nan(results)})
        logger.info("Results written to %s", path)
    return results


def _find_trained_weights(cfg: DictConfig, args: Namespace) -> str:
    tag = Path(cfg.train.output_dir) / "last_checkpoint"
    if args.resume and tag.is_file():
        return str(tag.with_name(tag.read_text(encoding="utf-8").strip()))
    if cfg.train.init_checkpoint:
        return cfg.train.init_checkpoint
    raise UserError(
        "An evaluation needs trained weights, since random ones say nothing. Received an empty "
        f"train.init_checkpoint{f' and no checkpoint in {tag.parent}' if args.resume else ''}. Add "
        "train.init_checkpoint=FILE, or --resume for the last checkpoint in train.output_dir."
    )


def _without_nan(results: Any) -> Any:
    if isinstance(results, dict):
        return {name: _without_nan(value) for name, value in results.items()}
    return float(results) if math.isfinite(results) else None  # JSON has no NaN
