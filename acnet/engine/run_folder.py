"""The start of a run: whether it can succeed, whose its folder is, and what is written first."""

import difflib
import json
import logging
import re
from argparse import Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import seed_all_rng
from detectron2.utils.logger import setup_logger
from omegaconf import DictConfig, OmegaConf

from acnet.config import SAVED_CONFIG, dataset_names, save_config
from acnet.engine.loader import load_data
from acnet.engine.precision import choose_precision, resolve_device
from acnet.errors import UserError
from acnet.files import write_json

logger = logging.getLogger(__name__)

FAST_DEV_RUN_ITERATIONS = 3
DATA_FILE = "data.json"
_CHECKPOINTS = re.compile(r"last_checkpoint|model_(best|final|\d{7})\.pth")
# What belongs to the checkpoints: the count model that was fitted to them, too.
_RECORDS = re.compile(r"metrics\.json|count\.json|events\.out\.tfevents\..*")


def check_run(cfg: DictConfig, args: Namespace) -> None:
    """Check what a run is given, before anything is built, written or deleted.

    Device, precision, length, classes, data sets and weights: a mistake in them is told by one
    line, as long as no log has begun. The data sets are registered before.

    Raises:
        UserError: something is missing or does not fit.
    """
    choose_precision(cfg.train.amp, resolve_device(cfg.train.device))
    if not args.eval_only and cfg.train.max_iter is None and cfg.train.epochs is None:
        raise UserError(
            "A training needs a length. Received neither train.max_iter nor train.epochs. "
            "Set one of them, such as train.epochs=30."
        )
    names = dataset_names(cfg)
    check_classes(cfg, names)
    check_datasets(names)
    if "test" in cfg.get("dataloader", {}):
        load_data(cfg.dataloader.test)  # which is needed late; the training's is loaded at once
    weights = cfg.train.init_checkpoint
    if weights and "://" not in weights and not Path(weights).is_file():
        raise UserError(
            "train.init_checkpoint names the weights that a run starts from: a file, or an address "
            f"such as detectron2://ImageNetPretrained/MSRA/R-101.pkl. Received {weights}, where "
            "there is no file. Correct the path, or set train.init_checkpoint='' to start from "
            "random weights."
        )


def check_datasets(names: Iterable[str]) -> None:
    """Check that data sets are registered and that their annotations are there.

    Raises:
        UserError: one is not.
    """
    for name in names:
        if name not in DatasetCatalog:
            close = difflib.get_close_matches(name, list(DatasetCatalog), n=3)
            meant = f"Did you mean {' or '.join(close)}? " if close else ""
            raise UserError(
                "A data set is given by a registered name, or by the path of a prepared set. "
                f"Received {name!r}. {meant}Import photos and boxes of your own with `acnet data "
                "import`, and name them by SET:SPLIT."
            )
        file = MetadataCatalog.get(name).get("json_file")
        if file is not None and not Path(file).is_file():
            DatasetCatalog.get(name)  # tells how to make what is missing


def check_classes(cfg: DictConfig, names: Iterable[str]) -> None:
    """Compare the number of a model's classes with that of its data sets.

    A set that `register_coco_instances` registered is read, since it names its classes only then.
    Data sets that are not registered, or name no classes, are left out.

    Raises:
        UserError: they differ.
    """
    key = "model.roi_heads.num_classes"
    if OmegaConf.select(cfg, key) is None:  # a one-stage detector
        key = "model.num_classes"
    expected = OmegaConf.select(cfg, key)
    for name in names:
        if name not in DatasetCatalog:
            continue
        metadata = MetadataCatalog.get(name)
        file = metadata.get("json_file")
        if metadata.get("thing_classes") is None and file is not None and Path(file).is_file():
            DatasetCatalog.get(name)
        classes = metadata.get("thing_classes")
        if expected is None or classes is None or len(classes) == expected:
            continue
        raise UserError(
            "A detector has one output for each class of its data. Received "
            f"{key}={expected} for {name!r} with {len(classes)}: {', '.join(classes)}. Set "
            f"{key}={len(classes)}, or import the data with --one-class or --class-map."
        )


def prepare_run(cfg: DictConfig, args: Namespace) -> None:
    """Do what comes before training and evaluation alike, as detectron2's `default_setup` does.

    It shortens the run where `train.fast_dev_run` is set, checks the output folder, sets up the
    loggers, logs the command line, saves `config.yaml` (for a new training) and seeds the random
    numbers that initialize the model.

    `train.fast_dev_run` changes the config in place.

    Raises:
        UserError: the output folder holds another run.
    """
    if cfg.train.fast_dev_run:
        _shorten(cfg)
    if not (args.eval_only or args.resume):
        _claim_output_dir(cfg)
    for name in ("fvcore", "detectron2", "acnet"):
        setup_logger(cfg.train.output_dir, distributed_rank=comm.get_rank(), name=name)
    logger.info("Process %d of %d.", comm.get_rank(), comm.get_world_size())
    logger.info("Command line: %s", args)
    if cfg.train.fast_dev_run:
        logger.warning("train.fast_dev_run: a few steps of everything; the numbers mean nothing.")
    if not (args.eval_only or args.resume):  # one that is resumed may still be refused
        keep_config(cfg)
    seed_all_rng(None if cfg.train.seed < 0 else cfg.train.seed + comm.get_rank())


def keep_config(cfg: DictConfig) -> None:
    """Write the `config.yaml` of a run."""
    if comm.is_main_process():
        save_config(cfg, Path(cfg.train.output_dir) / SAVED_CONFIG)
        logger.info("Whole config saved to %s/config.yaml", cfg.train.output_dir)


def compare_data(folder: Path, contents: Mapping[str, int | str], *, resume: bool) -> None:
    """Keep what a run is trained on, and say so where a resumed one finds other data."""
    path = folder / DATA_FILE
    if not resume or not path.is_file():
        write_json(path, dict(contents))
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        before = {}
    if before != dict(contents):
        logger.warning(
            "The training data have changed since this run began, when they were %s; now they are "
            "%s. The run goes on with them, in another order: its metrics belong to neither.",
            *(before or "not kept", dict(contents)),
        )


def log_environment() -> None:
    """Log versions and hardware, when everything that a user may have mistaken has been built."""
    logger.info("Environment:\n%s", collect_env_info())


def _shorten(cfg: DictConfig) -> None:
    train = cfg.train
    train.max_iter = FAST_DEV_RUN_ITERATIONS
    train.log_period = 1
    train.eval_period = train.checkpointer.period = 2
    # A folder of its own, or it would stand in the way of the real run, or spoil it.
    train.output_dir = str(Path(train.output_dir) / "fast_dev_run")
    train.overwrite = True


def _claim_output_dir(cfg: DictConfig) -> None:
    folder = Path(cfg.train.output_dir)
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    checkpoints = [path for path in files if _CHECKPOINTS.fullmatch(path.name)]
    if checkpoints and not cfg.train.overwrite:
        raise UserError(
            "A new run needs a folder of its own, since it would mix its files with another's. "
            f"Received train.output_dir={folder}, which holds {checkpoints[0].name}. Add --resume "
            "to go on with that run, train.overwrite=true to delete it, or another "
            "train.output_dir=FOLDER."
        )
    if Path(cfg.train.init_checkpoint).resolve() in [path.resolve() for path in checkpoints]:
        raise UserError(
            "A run cannot start from weights that it is told to delete. Received train.overwrite="
            f"true with train.init_checkpoint={cfg.train.init_checkpoint}. Use another "
            "train.output_dir=FOLDER."
        )
    comm.synchronize()  # every process has looked before the first one deletes
    if comm.is_main_process() and checkpoints:
        for path in checkpoints + [path for path in files if _RECORDS.fullmatch(path.name)]:
            path.unlink()  # last_checkpoint goes first
