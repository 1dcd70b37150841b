"""`acnet predict`: from photos to boxes, counts, pictures and a page to look at."""

import argparse
import dataclasses
import json
import logging
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from acnet.cli.main import (
    add_command,
    natural_int,
    path,
    positive_float,
    positive_int,
    set_up_logging,
    share,
)
from acnet.config import SAVED_CONFIG
from acnet.errors import printable
from acnet.export.metadata import ENGINES

if TYPE_CHECKING:
    from acnet.inference.predictor import Predictor
    from acnet.photos.folder import Outcome
    from acnet.photos.sources import Ranks

logger = logging.getLogger(__name__)

EXIT_INTERRUPTED = 130
DESCRIPTION = """\
Find lesions in photos. OUTPUT gets

  index.html         all photos on one page, to be opened from the disk
  pictures/          each photo with its boxes; photos/ and thumbnails/ without, for the page
  counts.csv         lesions in each photo; lesions.csv has each, and how probable it is
  predictions.json   every box with its score, below the threshold too, as COCO results
  images.json        which photo and class the ids in it mean
  failed.csv         photos that could not be read; warnings.csv those read in part

After an interruption the same command goes on where it was. Several processes or machines share
the work under torchrun (see the examples); OUTPUT is then on a disk that all of them see.

Exit status: 0; 1 where a photo could not be read; 2 where nothing could be done.
"""
EPILOG = """\
examples:
  acnet predict photo.jpg
  acnet predict photos/ --weights output/toy/acnet_r18 --output results
  acnet predict photos/ --weights model.safetensors --output results --share
  acnet predict photos/ --config-file toy/acnet_r18 --weights model.pth --score-threshold 0.3 \\
      --attention
  acnet predict photos/ --weights model.onnx
  torchrun --nproc-per-node 2 -m acnet.cli.main predict photos/ --weights model.pth

Boxes are in pixels of the upright photo. For research; no medical device.
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `predict` to the command line."""
    summary = "find lesions in photos"
    _add_options(add_command(subparsers, "predict", run, summary, DESCRIPTION, EPILOG))


def run(args: argparse.Namespace) -> int:
    """Predict the photos and say what was found; the exit status is 1 where one was unreadable.

    Of several processes the first alone says so, since torchrun would end the others.
    """
    # Of damaged photos the error tells enough, and large ones are meant to be large.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    from acnet.photos.sources import ranks_from

    ranks = ranks_from()
    set_up_logging(logging.INFO if ranks.is_first else logging.ERROR)
    logging.getLogger("acnet.checkpoint").setLevel(logging.ERROR)  # its report is for training
    try:
        outcome = _predict(args, ranks)
    except KeyboardInterrupt:
        sys.stderr.write("acnet: interrupted; the same command goes on from here\n")
        return EXIT_INTERRUPTED
    if outcome is None:
        return 0
    if args.json:
        document = outcome.document(args.output.name if args.share else args.output)
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(_summary(args, outcome))
    if outcome.failed:
        names = [printable(photo.name) for photo in outcome.failed]
        sys.stderr.write("\n  ".join([f"left out, {len(names)}:", *names]) + "\n")
    return 1 if outcome.failed else 0


def _predict(args: argparse.Namespace, ranks: "Ranks") -> "Outcome | None":
    from acnet.photos.draw import DrawingOptions
    from acnet.photos.folder import check_output, predict_folder
    from acnet.photos.sources import find_photos

    if ENGINES["eager"].is_installed:
        from acnet.visualization.lesion_visualizer import draw_boxes
    else:
        from acnet.photos.box_painter import draw_boxes
    sources = find_photos(args.images)
    drawing = DrawingOptions(
        labels=args.labels,
        suffix=f".{args.picture_format}",
        attention=args.attention,
        share=args.share,
    )
    check_output(args.output, sources, drawing)
    _choose_gpu(ranks)
    predictor = _load(args)
    if predictor.rule.model is None:
        logger.warning(
            "Counts come without interval and grade, which need --count-model of `acnet calibrate`."
        )
    return predict_folder(
        predictor,
        sources,
        args.output,
        drawing=drawing,
        draw_boxes=draw_boxes,
        ranks=ranks,
        max_megapixels=args.max_megapixels,
        bom=args.csv_bom,
    )


def _load(args: argparse.Namespace) -> "Predictor":
    from acnet.inference.engines import NOTHING, Optimizations
    from acnet.inference.predictor import load
    from acnet.photos.merge import MergeOptions

    merge = MergeOptions()
    if args.max_detections is not None:
        merge = dataclasses.replace(merge, max_detections=args.max_detections)
    optimizations = Optimizations() if args.optimize else NOTHING
    predictor = load(
        args.weights,
        device=args.device,
        config=args.config_file,
        overrides=args.opts,
        merge=merge,
        count_model=args.count_model,
        score_threshold=args.score_threshold,
        precision=args.precision,
        optimize=dataclasses.replace(optimizations, compile=args.compile),
        engine=args.engine,
        photo_size=args.photo_size,
    )
    wanted = {"tile_px": args.tile_size, "overlap_px": args.tile_overlap}
    wanted["batch_size"] = args.tile_batch
    tiling = {name: value for name, value in wanted.items() if value is not None}
    tiling = {name: None if value == "whole" else value for name, value in tiling.items()}
    predictor.tiling = dataclasses.replace(predictor.tiling, **tiling)
    return predictor


def _choose_gpu(ranks: "Ranks") -> None:
    if ranks.has_others and ENGINES["eager"].is_installed:
        import torch

        if torch.cuda.is_available():
            torch.cuda.set_device(ranks.local_rank % torch.cuda.device_count())


def _summary(args: argparse.Namespace, outcome: "Outcome") -> str:
    lesions = sum(result.count.count or 0 for result in outcome.results)
    photos = len(outcome.results)
    not_counted = sum(result.count.count is None for result in outcome.results)
    unlike = f"; {not_counted} not counted, unlike the model's own" if not_counted else ""
    pictures = "schematics, crops" if args.share else "pictures"
    return (
        f"{lesions} lesion{'s' * (lesions != 1)} (score {outcome.rule.threshold:.3g} or more) in "
        f"{photos} photo{'s' * (photos != 1)}{unlike}\nwritten to {printable(str(args.output))}: "
        f"index.html, {pictures}, counts.csv, predictions.json, images.json\n"
    )


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "images", nargs="+", type=path, metavar="IMAGE", help="photo, or folder of photos"
    )
    parser.add_argument(
        "--output", type=path, default=Path("results"), metavar="DIR", help="default results"
    )
    _add_model_options(parser)
    _add_tiling_options(parser)
    _add_count_options(parser)
    _add_picture_options(parser)
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on stdout, for programs"
    )
    parser.add_argument(
        "--csv-bom", action="store_true", help="begin .csv files so that Excel reads them as UTF-8"
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
        help="bundle, checkpoint or folder of a training, file of `acnet export`, or name of "
        "bundled weights; default: those",
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
        help="auto (default): the fastest that the device has, or that of the export; config: as "
        "in the training",
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
        help="what runs the weights; auto (default): eager, and onnxruntime for .onnx or where "
        "detectron2 is missing",
    )


def _add_tiling_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("large photos")
    group.add_argument(
        "--photo-size",
        type=_photo_size,
        default="auto",
        metavar="PX",
        help="long side at which photos are seen, or native; auto (default): as in training, where "
        "that was one size corrected by the lesions in each photo",
    )
    group.add_argument(
        "--tile-size",
        type=_tile_size,
        metavar="PX",
        help="longest side of the tiles that photos are cut into, or whole; default 1280, and "
        "whole for a config that resizes photos",
    )
    group.add_argument(
        "--tile-overlap", type=natural_int, metavar="PX", help="that tiles share; default 128"
    )
    group.add_argument(
        "--tile-batch", type=positive_int, metavar="N", help="tiles at once; default 1"
    )
    group.add_argument(
        "--max-detections", type=positive_int, metavar="N", help="in a cut photo; default 1000"
    )
    group.add_argument(
        "--max-megapixels",
        type=positive_float,
        default=128.0,
        metavar="X",
        help="leave larger photos out, for the memory's sake; default 128",
    )


def _add_count_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("counting")
    group.add_argument(
        "--count-model",
        type=path,
        metavar="FILE",
        help="of `acnet calibrate`: threshold, interval and grade; default: the bundle's, or "
        "count.json beside a checkpoint",
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


def _photo_size(text: str) -> int | str:
    return text if text in ("auto", "native") else positive_int(text)


def _tile_size(text: str) -> int | str:
    return text if text == "whole" else positive_int(text)
