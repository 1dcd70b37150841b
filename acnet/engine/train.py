"""Training as a config describes it."""

import copy
import inspect
import logging
import math
from argparse import Namespace
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from detectron2.config import instantiate
from detectron2.engine import hooks
from detectron2.modeling import ResNet
from detectron2.utils import comm
from detectron2.utils.events import CommonMetricPrinter, TensorboardXWriter
from detectron2.utils.registry import locate
from omegaconf import DictConfig

from acnet.checkpoint import ACNetCheckpointer
from acnet.config import complete_train
from acnet.engine.evaluate import default_eval
from acnet.engine.hooks import (
    BestCheckpoint,
    PeriodicCheckpointer,
    Report,
    SeedEveryStep,
    StopOnSigterm,
    WeightAverage,
)
from acnet.engine.launch import synchronize_batch_norm, wrap_for_processes
from acnet.engine.loader import TrainLoader, load_data
from acnet.engine.metrics import MetricsFile, cut_metrics
from acnet.engine.precision import choose_precision, resolve_device
from acnet.engine.run_folder import compare_data, keep_config, log_environment
from acnet.engine.trainer import Trainer, clip_gradients
from acnet.errors import UserError
from acnet.modeling.activation_checkpointing import checkpoint_activations
from acnet.modeling.cuda_graphs import replay_in_training
from acnet.modeling.heads import RES5_HEADS
from acnet.modeling.poolers import skip_unread_bins
from acnet.modeling.resnet import fold_frozen_norms

logger = logging.getLogger(__name__)


def default_train(cfg: DictConfig, args: Namespace) -> None:
    """Train, evaluate and save as the config says, from the start or from the last checkpoint.

    The config has `model`, `dataloader`, `optimizer`, `lr_multiplier` and `train`, as in
    detectron2's LazyConfig training; see `projects/ACNet/configs/common/train.py`. `args.resume`
    goes on from the last checkpoint in `train.output_dir`, if there is one, exactly as if the run
    had not been interrupted.
    """
    as_given = copy.deepcopy(cfg)
    complete_train(cfg)
    trainer = build_trainer(cfg, build_model(cfg))
    contents = getattr(trainer.data_loader, "contents", None)  # not of detectron2's loaders
    if contents and comm.is_main_process():
        compare_data(Path(cfg.train.output_dir), contents, resume=args.resume)
    max_iter = count_iterations(cfg, trainer.data_loader)
    ema = cfg.train.ema
    average = WeightAverage(trainer.model, decay=ema.decay) if ema.enabled else None
    parts = {"trainer": trainer} | ({ACNetCheckpointer.AVERAGE: average} if average else {})
    checkpointer = ACNetCheckpointer(trainer.model, cfg.train.output_dir, **parts)
    stop = StopOnSigterm(checkpointer)
    trainer.register_hooks(
        [
            hooks.IterationTimer(),
            SeedEveryStep(cfg.train.seed) if cfg.train.seed >= 0 else None,
            hooks.LRScheduler(scheduler=instantiate(cfg.lr_multiplier)),
            average,
            PeriodicCheckpointer(checkpointer, **cfg.train.checkpointer)
            if comm.is_main_process()
            else None,
            stop,
        ]
    )
    checkpointer.resume_or_load(cfg.train.init_checkpoint, resume=args.resume)
    if args.resume:
        keep_config(as_given)
    start_iter = trainer.next_iter
    evaluated = average.model if average else trainer.model
    options = {"max_iter": max_iter, "resume": args.resume, "stop": stop}
    report = build_report(cfg, trainer, evaluated, **options)
    if start_iter >= max_iter and not report.is_unfinished(start_iter - 1, max_iter):
        logger.info(
            "Nothing to do: this run has finished its %d iterations. Raise train.max_iter=%d to "
            "train on, or use --eval-only.",
            *(start_iter, max_iter),
        )
        return
    trainer.register_hooks([report])
    log_environment()
    if hasattr(trainer.data_loader, "start_at"):
        trainer.data_loader.start_at(start_iter)
    elif start_iter > 0:
        logger.warning(
            "The loader of dataloader.train begins anew, since it cannot start at an iteration: "
            "this run meets other images than an uninterrupted one."
        )
    trainer.train(start_iter, max_iter)


def count_iterations(cfg: DictConfig, loader: TrainLoader) -> int:
    """Return the iterations of a training: `train.max_iter` if given, else of `train.epochs`.

    The iteration that ends the last epoch counts in full.
    """
    if cfg.train.max_iter is not None:
        return cfg.train.max_iter
    try:
        num_images, batch_size = len(loader.dataset), cfg.dataloader.train.total_batch_size
    except (AttributeError, TypeError) as error:  # detectron2's loaders hide their data set
        raise UserError(
            "A length in epochs needs a loader that knows its images, such as "
            f"acnet.engine.build_train_loader. Received train.epochs={cfg.train.epochs} with "
            f"{type(loader).__name__}. Set train.max_iter."
        ) from error
    max_iter = math.ceil(cfg.train.epochs * num_images / batch_size)
    logger.info(
        "%s epochs of %d images in batches of %d: %s * %d / %d = %d iterations.",
        *(cfg.train.epochs, num_images, batch_size, cfg.train.epochs, num_images, batch_size),
        max_iter,
    )
    return max_iter


def build_model(cfg: DictConfig) -> torch.nn.Module:
    """Build the config's model on its device, not yet wrapped for several processes.

    Its BN is synchronized if `train.sync_bn` and the device allow. The first stages of each ResNet
    are frozen as `train.freeze_at` says: here, because a composite backbone that is built of frozen
    stems shares one stem, and trained ones differ.
    """
    device = resolve_device(cfg.train.device)
    model = instantiate(cfg.model).to(device)
    for module in list(model.modules()):
        if isinstance(module, ResNet):
            module.freeze(cfg.train.get("freeze_at", 0))  # not in configs of older runs
    if cfg.train.sync_bn and comm.get_world_size() > 1:
        model = synchronize_batch_norm(model, device=device)
    fold_frozen_norms(model)
    if cfg.train.get("activation_checkpointing", False):  # not in configs of older runs
        checkpoint_activations(model)
    if type(getattr(model, "roi_heads", None)) in RES5_HEADS:
        skip_unread_bins(model.roi_heads)
    if cfg.train.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if cfg.train.get("cuda_graphs", False):  # not in configs of older runs
        _check_cuda_graphs(cfg)
        replay_in_training(model)
    return model


def build_optimizer(
    optimizer_cfg: DictConfig,
    model: torch.nn.Module,
    device: torch.device,
    lr_factors: Mapping[str, float] | None = None,
) -> torch.optim.Optimizer:
    """Build a config's optimizer for a model; on a GPU one kernel changes all weights.

    `lr_factors` are those on the learning rate of parameters, by how their names begin.

    Raises:
        UserError: no parameter's name begins so.
    """
    optimizer_cfg = copy.deepcopy(optimizer_cfg)
    optimizer_cfg.params.model = model
    if lr_factors:
        _check_lr_factors(lr_factors, model)
        optimizer_cfg.params.base_lr = optimizer_cfg.lr
        optimizer_cfg.params.lr_factor_func = partial(_lr_factor, dict(lr_factors))
    if device.type == "cuda" and optimizer_cfg.get("fused", None) is None:
        kind = optimizer_cfg._target_
        kind = locate(kind) if isinstance(kind, str) else kind
        if "fused" in inspect.signature(kind).parameters:
            optimizer_cfg.fused = True
    return instantiate(optimizer_cfg)


def _lr_factor(factors: Mapping[str, float], name: str) -> float:
    return math.prod(factor for start, factor in factors.items() if name.startswith(start))


def _check_lr_factors(factors: Mapping[str, float], model: torch.nn.Module) -> None:
    names = [name for name, _ in model.named_parameters()]
    for start in factors:
        if not any(name.startswith(start) for name in names):
            parts = ", ".join(sorted({name.partition(".")[0] for name in names}))
            raise UserError(
                "train.lr_factors has beginnings of parameters' names. Received "
                f"{start!r}, with which none begins. The model's parts are {parts}."
            )


def _check_cuda_graphs(cfg: DictConfig) -> None:
    is_split = cfg.train.get("accumulate", 1) > 1 or comm.get_world_size() > 1
    if is_split or cfg.train.get("activation_checkpointing", False) or not cfg.train.amp.enabled:
        raise UserError(
            "train.cuda_graphs replays one forward and one backward pass a step, in one process "
            "and with AMP. Received it with train.accumulate, train.activation_checkpointing or "
            "several processes, or without train.amp.enabled; set train.cuda_graphs=false."
        )


def build_trainer(cfg: DictConfig, model: torch.nn.Module) -> Trainer:
    """Build optimizer, loader and trainer, without hooks, around a model on its device."""
    device = resolve_device(cfg.train.device)
    return Trainer(
        model=wrap_for_processes(model, device=device, ddp=cfg.train.ddp),
        data_loader=load_data(cfg.dataloader.train),
        optimizer=clip_gradients(
            build_optimizer(cfg.optimizer, model, device, cfg.train.get("lr_factors", None)),
            cfg.train.get("clip_gradients", None),
        ),
        precision=choose_precision(cfg.train.amp, device),
        accumulate=_parts_of_a_batch(cfg),
    )


def _parts_of_a_batch(cfg: DictConfig) -> int:
    parts = cfg.train.get("accumulate", 1)  # configs that are older than this key have none
    if parts == 1:
        return 1
    batch_size, processes = cfg.dataloader.train.total_batch_size, comm.get_world_size()
    if parts < 1 or batch_size // processes % parts:
        raise UserError(
            "train.accumulate splits each process's share of a batch into equal parts. Received "
            f"{parts} parts of a share of {batch_size // processes} images. Set a divisor of it."
        )
    return parts


class NamelessTensorboardWriter(TensorboardXWriter):
    """TensorBoard's files, which are shared, without the machine's name in their names."""

    @cached_property
    def _writer(self) -> Any:
        with mock.patch("socket.gethostname", return_value="acnet"):
            return TensorboardXWriter._writer.func(self)


def build_report(
    cfg: DictConfig,
    trainer: Trainer,
    model: torch.nn.Module,
    *,
    max_iter: int,
    resume: bool,
    stop: StopOnSigterm,
) -> Report:
    """Build the hook that evaluates and writes, over metrics that end where the training starts.

    The trainer has its checkpoint loaded, `model` is the one to evaluate, `resume` says whether the
    best checkpoint in the output folder belongs to this run, and `stop` is asked before each batch.
    """
    writers, best, last_reported = [], None, -1
    if comm.is_main_process():
        path = Path(cfg.train.output_dir) / "metrics.json"
        last_reported = cut_metrics(path, start_iter=trainer.next_iter)
        writers = [
            CommonMetricPrinter(max_iter),
            MetricsFile(path, last_iteration=last_reported),
            NamelessTensorboardWriter(cfg.train.output_dir, purge_step=trainer.next_iter),
        ]
        options = {"output_dir": cfg.train.output_dir, "metric": cfg.train.best_metric}
        best = BestCheckpoint(trainer, **options, resume=resume, model=model)
    return Report(
        evaluate=partial(default_eval, cfg, model, before_batch=stop.stop_if_requested),
        eval_period=cfg.train.eval_period,
        log_period=cfg.train.log_period,
        writers=writers,
        best=best,
        last_reported=comm.all_gather(last_reported)[0],
    )
