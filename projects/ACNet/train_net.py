#!/usr/bin/env python
"""Train or evaluate ACNet from a LazyConfig file, with the habits of detectron2's train_net.py."""

import importlib.util
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

if importlib.util.find_spec("acnet") is None:
    # Python puts this script's folder on the path, not the clone's root, so a clone that was not
    # installed would not find its own package. An installed one goes first.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from detectron2.engine import default_argument_parser

from acnet.config import dataset_names, load_config
from acnet.data.register import register_all, register_paths
from acnet.engine import check_classes, default_train, evaluate_only, launch, prepare_run

EPILOG = """
--config-file takes a path or a name below projects/ACNet/configs. The device is chosen by itself:
a GPU where there is one, else the CPU. All options come before the first key=value.

Examples:

  Look whether everything works, in a minute (the numbers mean nothing):
    python projects/ACNet/train_net.py --config-file toy/acnet_r18 train.fast_dev_run=true

  Train on one GPU or on the CPU, and change the config:
    python projects/ACNet/train_net.py --config-file acne04/acnet_r101 optimizer.lr=0.0005

  Train on two GPUs, in either of two ways:
    python projects/ACNet/train_net.py --config-file acne04/acnet_r101 --num-gpus 2
    torchrun --nproc-per-node 2 projects/ACNet/train_net.py --config-file acne04/acnet_r101

  Train on two machines of four GPUs, the first of which is 10.0.0.1:
    (first)$  ... --num-gpus 4 --num-machines 2 --machine-rank 0 --dist-url tcp://10.0.0.1:29500
    (second)$ ... --num-gpus 4 --num-machines 2 --machine-rank 1 --dist-url tcp://10.0.0.1:29500

  Train on a data set that `acnet data import` wrote, wherever it is:
    python projects/ACNet/train_net.py --config-file acne04/acnet_r101 \\
        dataloader.train.dataset.names=sets/acne:train_tiles \\
        dataloader.test.dataset.names=sets/acne/annotations/valid_tiles.json

  Go on after an interruption, with the losses of an uninterrupted run:
    python projects/ACNet/train_net.py --config-file toy/acnet_r18 --resume

  Evaluate the best checkpoint of a run; the results go to evaluation.json in train.output_dir:
    python projects/ACNet/train_net.py --config-file toy/acnet_r18 --eval-only \\
        train.init_checkpoint=output/toy/acnet_r18/model_best.pth

  Repeat a run from the config it saved:
    python projects/ACNet/train_net.py --config-file output/toy/acnet_r18/config.yaml \\
        train.output_dir=output/again
"""


def build_parser() -> ArgumentParser:
    """Build detectron2's parser, with examples that work here."""
    parser = default_argument_parser(epilog=EPILOG)
    parser.description = __doc__
    return parser


def main(args: Namespace) -> None:
    """Train or evaluate in one process of a run.

    Args:
        args: of `build_parser`.
    """
    register_all()
    cfg = load_config(args.config_file, args.opts)
    names = dataset_names(cfg)
    register_paths(names)
    check_classes(cfg, names)
    prepare_run(cfg, args)
    if args.eval_only:
        evaluate_only(cfg, args)
    else:
        default_train(cfg, args)


if __name__ == "__main__":
    launch(main, build_parser().parse_args())
