"""`acnet weights pack`: a trained model, its config and its count model in one file."""

import argparse
import sys
from pathlib import Path

from acnet.cli.arguments import hide_library_noise

DESCRIPTION = """\
Pack the weights of a training with all that they need into one safetensors file: the config, the
names of the classes, the count model, and a card for people. `acnet predict --weights` then takes
this one file, and weights and config cannot be mixed up. The weights are tried in the config's
model before anything is written. Nothing of the training's machine or folders goes into the file.
"""
EPILOG = """\
examples:
  acnet weights pack output/toy/acnet_r18 toy.safetensors
  acnet weights pack output/demo/run demo.safetensors --count-model count.json --half

then:
  acnet weights show demo.safetensors
  acnet predict photos/ --weights demo.safetensors --output results
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `pack` to the actions.

    Args:
        subparsers: Of `acnet weights`.
    """
    parser = subparsers.add_parser(
        "pack",
        help="pack a trained model into one file",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "run_dir",
        type=Path,
        metavar="RUN_DIR",
        help="folder of the training (its model_best.pth, else model_final.pth), or a weights file",
    )
    parser.add_argument("output", type=Path, metavar="OUTPUT.safetensors", help="file to write")
    parser.add_argument(
        "--config-file", metavar="NAME", help="of the training; default: config.yaml in RUN_DIR"
    )
    parser.add_argument(
        "--count-model", type=Path, metavar="FILE", help="of `acnet calibrate` for this model"
    )
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help="default: those of the config's test set"
    )
    parser.add_argument(
        "--card", type=Path, metavar="FILE.md", help="text for people: data, licence, accuracy"
    )
    parser.add_argument(
        "--half", action="store_true", help="store float16: half the size, nearly the same results"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Pack the model and say where it is.

    Args:
        args: The parsed command line.

    Returns:
        The exit status, 0.

    Raises:
        UserError: Weights, config or count model cannot be used, or do not fit each other.
    """
    hide_library_noise()
    from acnet.checkpoint.bundle import check_suffix, write_bundle
    from acnet.checkpoint.pack import check_classes, find_weights, make_bundle, read_card
    from acnet.config import load_config
    from acnet.evaluation.count_model import read_count_model
    from acnet.inference.trained_model import load_trained_model

    check_suffix(args.output)
    weights = find_weights(args.run_dir)
    cfg = load_config(args.config_file or weights.with_name("config.yaml"))
    count_model = read_count_model(args.count_model) if args.count_model else None
    trained = load_trained_model(cfg, weights, "cpu")
    classes = check_classes(args.classes, trained.class_names)
    state, bundle = make_bundle(
        cfg,
        trained.model,
        classes,
        count_model=count_model,
        card=read_card(args.card) if args.card else None,
        half=args.half,
    )
    write_bundle(args.output, state, bundle)
    size = args.output.stat().st_size / 1e6
    sys.stdout.write(f"{weights} packed into {args.output}, {size:.1f} MB\n")
    return 0
