"""`acnet figure5`: where two models differ, photo by photo."""

import argparse
import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from acnet.cli._evaluation import PREDICTIONS_HELP, add_ground_truth, set_up_logging
from acnet.cli.arguments import hide_library_noise, natural_int, positive_int
from acnet.errors import UserError

if TYPE_CHECKING:
    from acnet.visualization.figure5 import SaliencyModel

DESCRIPTION = """\
Write a page like the paper's Fig. 5: photos with ground truth, baseline and ACNet side by side, and
hits, misses and false alarms in colours of their own. Photos are not chosen by hand: those with the
largest difference between the last model and the first, in both directions, and some by chance.

With --saliency the page also shows where the mask attention of models expects lesions, such as that
of a model that learnt it from masks and one that did not.

The page holds the photos, and so the people in them.
"""
EPILOG = """\
examples:
  acnet figure5 gt.json --predictions baseline=a/predictions.json ACNet=b/predictions.json \\
      --image-root photos/ --output figure5
  acnet figure5 gt.json --predictions baseline=a.json ACNet=b.json --image-root photos/ \\
      --saliency "supervised=acnet/model_final.pth" "unsupervised=plain/model_final.pth" \\
      --output figure5

config.yaml must lie beside the weights, where a training leaves it; a bundle holds it.
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds `figure5` to the command line.

    Args:
        subparsers: of the main parser.
    """
    parser = subparsers.add_parser(
        "figure5",
        help="show where two models differ, photo by photo",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_ground_truth(parser)
    parser.add_argument(
        "--predictions",
        type=_named_path,
        nargs="+",
        required=True,
        metavar="NAME=FILE",
        help=f"of two models or more, the baseline first; {PREDICTIONS_HELP}",
    )
    parser.add_argument(
        "--image-root",
        type=Path,
        required=True,
        metavar="DIR",
        help="where the file names of GT.json lead to",
    )
    parser.add_argument(
        "--saliency",
        type=_named_path,
        nargs="+",
        default=[],
        metavar="NAME=WEIGHTS",
        help="of models with a mask attention, to show it",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for index.html"
    )
    parser.add_argument(
        "--photos", type=positive_int, default=2, metavar="N", help="of each group; default 2"
    )
    parser.add_argument(
        "--seed", type=natural_int, default=0, metavar="S", help="of the chance; default 0"
    )
    parser.add_argument("--device", default="auto", help="for --saliency; default auto")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the page and says where it is.

    Args:
        args: the parsed command line.

    Returns:
        The exit status 0.

    Raises:
        UserError: a file cannot be used, or a model has no mask attention.
    """
    hide_library_noise()
    set_up_logging()
    logging.getLogger("acnet.checkpoint").setLevel(logging.ERROR)  # its report is for training
    _check(args)
    from acnet.evaluation.coco_files import read_ground_truth
    from acnet.evaluation.saved_predictions import read_saved_predictions
    from acnet.visualization.figure5 import write_figure5

    ground_truth = read_ground_truth(args.ground_truth)
    page = write_figure5(
        args.output,
        ground_truth,
        {name: read_saved_predictions(path, ground_truth) for name, path in args.predictions},
        photos_root=args.image_root,
        saliency_models=[_saliency_model(*named, args.device) for named in args.saliency],
        each=args.photos,
        seed=args.seed,
        command=shlex.join(["acnet", *sys.argv[1:]]),
    )
    sys.stdout.write(f"page: {page}\n")
    return 0


def _saliency_model(name: str, weights: Path, device: str) -> "SaliencyModel":
    from acnet.config import config_of, load_config
    from acnet.inference import Predictor
    from acnet.named_weights import resolve_weights
    from acnet.visualization.figure5 import SaliencyModel

    weights = resolve_weights(weights)
    predictor = Predictor(load_config(config_of(weights)), weights, device)
    if not predictor.has_saliency:
        raise UserError(
            "--saliency shows what the mask attention (MAMA) sees. Received "
            f"{name}={weights}, whose model has none; leave it out."
        )
    return SaliencyModel(name, predictor.saliency)


def _check(args: argparse.Namespace) -> None:
    for option in ("predictions", "saliency"):
        names = [name for name, _ in getattr(args, option)]
        if len(set(names)) < len(names):
            raise UserError(
                f"Each model of --{option} has a name of its own, by which the page calls it. "
                f"Received {', '.join(names)}; name them apart."
            )
    if not args.image_root.is_dir():
        raise UserError(
            "--image-root is the folder in which the file names of the ground truth are. "
            f"Received {args.image_root}, which is no folder; check its spelling."
        )


def _named_path(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name.strip() and equals and path):
        raise argparse.ArgumentTypeError(f"NAME=FILE is needed, received {text!r}")
    return name.strip(), Path(path)
