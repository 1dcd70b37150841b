"""The command line of `acnet predict`."""

import argparse
import re
from pathlib import Path

from acnet.cli.arguments import natural_int, positive_float, positive_int, share
from acnet.config import SAVED_CONFIG
from acnet.export.metadata import ENGINES

DESCRIPTION = """\
Find lesions in photos. OUTPUT gets

  index.html         all photos on one page, to be opened from the disk
  pictures/          each photo with its boxes; thumbnails/ the same for the page
  counts.csv         lesions in each photo
  predictions.json   every box with its score, below the threshold too, as COCO results
  images.json        which photo and class the ids in it mean
  failed.csv         photos that could not be read, and why

After an interruption the same command goes on where it was. Several processes or machines share
the work under torchrun (see the examples); OUTPUT is then on a disk that all of them see.

Exit status: 0; 1 where a photo could not be read; 2 where nothing could be done.
"""
EPILOG = """\
examples:
  acnet predict photo.jpg --weights output/toy/acnet_r18/model_best.pth --output results
  acnet predict photos/ --weights model.safetensors --output results --share
  acnet predict photos/ --config-file toy/acnet_r18 --weights model.pth --output results \\
      --score-threshold 0.3 --attention
  acnet predict photos/ --weights model.onnx --output results
  torchrun --nproc-per-node 2 -m acnet.cli.main predict photos/ --weights model.pth --output results

Boxes are in pixels of the upright photo. ACNet is for research; it is no medical device.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all arguments and options.

    Args:
        parser: Of the command.
    """
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="photo, or folder of photos (not below it)"
    )
    parser.add_argument(
        "--output", required=True, type=Path, metavar="DIR", help="folder for the results"
    )
    _add_model_options(parser)
    _add_tiling_options(parser)
    _add_count_options(parser)
    _add_picture_options(parser)
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on stdout, for programs"
    )
    parser.add_argument(
        "--opts",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="change the config, as for train_net.py",
    )


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--weights",
        metavar="FILE|NAME",
        help="bundle, checkpoint of a training, file of `acnet export`, or name of weights that "
        "come along; default: those",
    )
    group.add_argument(
        "--config-file",
        metavar="NAME",
        help=f"config of a checkpoint, a name or path; default: {SAVED_CONFIG} beside it",
    )
    group.add_argument(
        "--device", type=_device, default="auto", help="auto (a GPU if there is one), cpu, cuda:1"
    )
    group.add_argument(
        "--precision",
        choices=("config", "auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="auto (default): the fastest that the device computes natively, or that of the "
        "export; config: as in the training, or in the export",
    )
    group.add_argument(
        "--optimize",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="change the model for speed, which moves results by rounding only (default)",
    )
    group.add_argument(
        "--compile",
        action="store_true",
        help="torch.compile the backbone: needs a C++ compiler, and 15 s for each new size",
    )
    group.add_argument(
        "--engine",
        choices=("auto", *ENGINES),
        default="auto",
        help="what runs the weights; auto (default): eager, for .onnx files onnxruntime",
    )


def _add_tiling_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("large photos")
    group.add_argument(
        "--tile-size",
        type=_tile_size,
        metavar="PX",
        help="longest side of the tiles that photos are cut into, or whole; default 1280, and "
        "whole for a config that resizes photos",
    )
    group.add_argument(
        "--tile-overlap",
        type=natural_int,
        metavar="PX",
        help="what neighbouring tiles share, at least; default 128",
    )
    group.add_argument(
        "--tile-batch",
        type=positive_int,
        metavar="N",
        help="tiles that go through the model at once; default 1",
    )
    group.add_argument(
        "--merge",
        metavar="NAME",
        help="of tiles' detections: cluster, nms (default), soft_nms-linear or soft_nms-gaussian",
    )
    group.add_argument(
        "--max-detections",
        type=positive_int,
        metavar="N",
        help="best detections that a photo in tiles keeps; default 1000",
    )
    group.add_argument(
        "--max-megapixels",
        type=positive_float,
        default=128.0,
        metavar="X",
        help="leave larger photos out, lest the memory run out; default 128",
    )


def _add_count_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("counting")
    group.add_argument(
        "--count-model",
        type=Path,
        metavar="FILE",
        help="of `acnet calibrate`: threshold, interval and grade; default: the bundle's",
    )
    group.add_argument(
        "--score-threshold",
        type=share,
        metavar="X",
        help="lowest score that is drawn and counted, 0 to 1, without interval and grade; default "
        "that of the count model, else 0.5",
    )


def _add_picture_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("pictures")
    group.add_argument(
        "--labels",
        choices=("auto", "always", "never"),
        default="auto",
        help="scores at the boxes; auto (default): where at most 20 boxes are drawn",
    )
    group.add_argument(
        "--picture-format", choices=("jpg", "png"), default="jpg", help="default jpg"
    )
    group.add_argument(
        "--attention", action="store_true", help="also draw what the mask attention sees"
    )
    group.add_argument(
        "--share",
        action="store_true",
        help="draw lesions and a schematic instead of photos, and call photos by number",
    )


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"auto, cpu or cuda:NUMBER is needed, received {text}")
    return text


def _tile_size(text: str) -> int | str:
    return text if text == "whole" else positive_int(text)
