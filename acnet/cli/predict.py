"""`acnet predict`: from photos to boxes, counts and pictures."""

import argparse
import logging
import re
import sys
from pathlib import Path

from acnet.cli._library_noise import hide_library_noise
from acnet.cli._numbers import positive_float, share
from acnet.errors import UserError

DESCRIPTION = """\
Find lesions in photos. OUTPUT gets

  pictures/          each photo with its boxes
  counts.csv         lesions in each photo, by the score threshold
  predictions.json   every box with its score, below the threshold too, as COCO results
  images.json        which photo and class the ids in it mean

A photo that cannot be read is reported and left out, and the exit status is then 1.
"""
EPILOG = """\
examples:
  acnet predict photo.jpg --weights output/toy/acnet_r18/model_best.pth --output results
  acnet predict photos/ --config-file toy/acnet_r18 --weights model.pth --output results \\
      --score-threshold 0.3 --attention

Boxes are in pixels of the upright photo. ACNet is for research; it is no medical device.
"""
SAVED_CONFIG = "config.yaml"


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `predict` to the command line.

    Args:
        subparsers: Of the main parser.
    """
    parser = subparsers.add_parser(
        "predict",
        help="find lesions in photos",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="photo, or folder of photos (not below it)"
    )
    parser.add_argument(
        "--weights", required=True, type=Path, metavar="FILE", help="checkpoint of a training"
    )
    parser.add_argument(
        "--config-file",
        metavar="NAME",
        help=f"its config, a name or path; default: {SAVED_CONFIG} beside the weights",
    )
    parser.add_argument(
        "--output", required=True, type=Path, metavar="DIR", help="folder for the results"
    )
    parser.add_argument(
        "--score-threshold",
        type=share,
        default=0.5,
        metavar="X",
        help="lowest score that is drawn and counted, 0 to 1; default 0.5",
    )
    parser.add_argument(
        "--device", type=_device, default="auto", help="auto (a GPU if there is one), cpu, cuda:1"
    )
    _add_picture_options(parser)
    parser.add_argument(
        "--opts",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="change the config, as for train_net.py",
    )
    parser.set_defaults(run=run)


def _add_picture_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--labels",
        choices=("auto", "always", "never"),
        default="auto",
        help="scores at the boxes; auto (default): where at most 20 boxes are drawn",
    )
    parser.add_argument(
        "--picture-format", choices=("jpg", "png"), default="jpg", help="default jpg"
    )
    parser.add_argument(
        "--attention", action="store_true", help="also draw what the mask attention sees"
    )
    parser.add_argument(
        "--max-megapixels",
        type=positive_float,
        default=16.0,
        metavar="X",
        help="leave larger photos out, lest the memory run out; default 16",
    )


def run(args: argparse.Namespace) -> int:
    """Predict the photos and say what was found.

    Args:
        args: The parsed command line.

    Returns:
        The exit status: 0, or 1 where a photo could not be read.

    Raises:
        UserError: There is no photo, or config, weights or output cannot be used.
    """
    _set_up_logging()
    from acnet.config_files import load_config
    from acnet.inference.batch import BatchOptions, predict_photos
    from acnet.inference.predictor import Predictor
    from acnet.inference.sources import find_photos

    sources = find_photos(args.images)
    _check_paths(args)
    config_file = args.config_file or _config_beside(args.weights)
    predictor = Predictor(load_config(config_file, args.opts), args.weights, args.device)
    _check_attention(args, predictor.has_saliency)
    options = BatchOptions(
        score_threshold=args.score_threshold,
        labels=args.labels,
        picture_suffix=f".{args.picture_format}",
        attention=args.attention,
        max_megapixels=args.max_megapixels,
    )
    results, failed = predict_photos(predictor, sources, args.output, options)
    lesions = sum(result.count for result in results)
    sys.stdout.write(
        f"{lesions} lesions (score {args.score_threshold:g} or more) in {len(results)} photos\n"
        f"written to {args.output}: pictures, counts.csv, predictions.json, images.json\n"
    )
    if failed:
        sys.stderr.write("\n  ".join([f"left out, {len(failed)} unreadable:", *failed]) + "\n")
    return 1 if failed else 0


def _check_paths(args: argparse.Namespace) -> None:
    if not args.weights.is_file():
        raise UserError(
            f"A prediction needs trained weights. Received --weights {args.weights}, where there "
            "is no file; give the model_best.pth of a training."
        )
    if args.output.exists() and not args.output.is_dir():
        raise UserError(
            "The results are several files, so --output is a folder. "
            f"Received the file {args.output}; name another place."
        )


def _config_beside(weights: Path) -> Path:
    config = weights.with_name(SAVED_CONFIG)
    if config.is_file():
        logging.getLogger(__name__).info("Config: %s, beside the weights", config)
        return config
    raise UserError(
        "Weights need the config they were trained with, since it says what the model is. Received "
        f"--weights {weights} without --config-file, and there is no {config}. "
        "Add --config-file NAME, such as toy/acnet_r18."
    )


def _check_attention(args: argparse.Namespace, has_saliency: bool) -> None:
    if args.attention and not has_saliency:
        raise UserError(
            "--attention shows what the mask attention (MAMA) sees. Received a config whose model "
            "has none; leave --attention out."
        )


def _set_up_logging() -> None:
    logging.basicConfig(format="%(levelname)s: %(message)s")
    logging.getLogger("acnet").setLevel(logging.INFO)
    logging.getLogger("acnet.checkpoint").setLevel(logging.ERROR)  # its report is for training
    hide_library_noise()


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"auto, cpu or cuda:NUMBER is needed, received {text}")
    return text
