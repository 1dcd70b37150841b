#!/usr/bin/env python
"""Write a page like the paper's Fig. 5: where two models differ, photo by photo.

Photos stand with ground truth, baseline and ACNet side by side, and hits, misses and false alarms
in colours of their own. They are not chosen by hand: those with the largest difference between the
last model and the first, in both directions, and some by chance.

With --saliency the page also shows where the mask attention of models expects lesions, such as that
of a model that learnt it from masks and one that did not.

The page holds the photos, and so the people in them.
"""

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # this clone

from acnet.cli.evaluate import PREDICTIONS_HELP, add_ground_truth, set_up_logging
from acnet.cli.main import hide_library_noise, natural_int, positive_int
from acnet.errors import UserError

if TYPE_CHECKING:
    from projects.ACNet.figure5.figure import SaliencyModel

EPILOG = """\
examples:
  python projects/ACNet/figure5 gt.json --image-root photos/ --output figure5 \\
      --predictions baseline=a/predictions.json ACNet=b/predictions.json
  python projects/ACNet/figure5 gt.json --image-root photos/ --output figure5 \\
      --predictions baseline=a.json ACNet=b.json \\
      --saliency "supervised=acnet/model_final.pth" "unsupervised=plain/model_final.pth"

config.yaml must lie beside the weights, where a training leaves it; a bundle holds it.
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_ground_truth(parser)
    add = parser.add_argument
    named = {"type": _named_path, "nargs": "+"}
    of_two = f"of two models or more, the baseline first; {PREDICTIONS_HELP}"
    add("--predictions", required=True, metavar="NAME=FILE", help=of_two, **named)
    root_help = "where the file names of GT.json lead to"
    add("--image-root", type=Path, required=True, metavar="DIR", help=root_help)
    saliency_help = "of models with a mask attention, to show it"
    add("--saliency", default=[], metavar="NAME=WEIGHTS", help=saliency_help, **named)
    add("--output", type=Path, required=True, metavar="DIR", help="folder for index.html")
    add("--photos", type=positive_int, default=2, metavar="N", help="of each group; default 2")
    add("--seed", type=natural_int, default=0, metavar="S", help="of the chance; default 0")
    add("--device", default="auto", help="for --saliency; default auto")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page, say where it is, and return the exit status."""
    args = build_parser().parse_args(argv)
    hide_library_noise()
    set_up_logging()
    logging.getLogger("acnet.checkpoint").setLevel(logging.ERROR)  # its report is for training
    try:
        _check(args)
        from acnet.evaluation.coco_files import read_ground_truth
        from acnet.evaluation.saved_predictions import read_saved_predictions
        from projects.ACNet.figure5.figure import write_figure5

        ground_truth = read_ground_truth(args.ground_truth)
        page = write_figure5(
            args.output,
            ground_truth,
            {name: read_saved_predictions(path, ground_truth) for name, path in args.predictions},
            photos_root=args.image_root,
            saliency_models=[_saliency_model(*named, args.device) for named in args.saliency],
            each=args.photos,
            seed=args.seed,
            command=shlex.join(["python", "projects/ACNet/figure5", *(argv or sys.argv[1:])]),
        )
    except UserError as error:
        sys.stderr.write(f"figure5: error: {error}\n")
        return 2
    sys.stdout.write(f"page: {page}\n")
    return 0


def _saliency_model(name: str, weights: Path, device: str) -> "SaliencyModel":
    from acnet.inference.predictor import load
    from projects.ACNet.figure5.figure import SaliencyModel

    predictor = load(weights, device=device)
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


if __name__ == "__main__":
    sys.exit(main())
