"""`acnet compare`: is model B better than model A, or is that chance?"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from acnet.cli._evaluation import (
    PREDICTIONS_HELP,
    add_bootstrap_options,
    add_ground_truth,
    evaluation_options,
    read_count_model_for,
    set_up_logging,
)

if TYPE_CHECKING:
    from acnet.evaluation.columns import Detections, GroundTruth

DESCRIPTION = """\
Compare two models on the same photos by a paired bootstrap: photos are drawn again and again, and
both models are measured on the same draw. For each number it shows

  B - A      the difference on all photos
  interval   95 % of the differences on the drawn photos
  p          how often chance alone would show as much, were the models equal
  better     A or B, where p is below 0.05

p is that of one number. Of twenty numbers one is below 0.05 by chance, so choose beforehand which
one decides.
"""
EPILOG = """\
examples:
  acnet compare gt.json baseline/predictions.json acnet/predictions.json
  acnet compare gt.json a.json b.json --json difference.json --replicates 10000

with counts and grades, each model with the threshold that was fitted for it:
  acnet compare gt.json a.json b.json --count-models count_a.json count_b.json
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds `compare` to the command line.

    Args:
        subparsers: of the main parser.
    """
    parser = subparsers.add_parser(
        "compare",
        help="tell whether one model is better than another",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_ground_truth(parser)
    parser.add_argument("a", type=Path, metavar="A.json", help=PREDICTIONS_HELP)
    parser.add_argument("b", type=Path, metavar="B.json", help="the same of the other model")
    parser.add_argument(
        "--count-models",
        type=Path,
        nargs=2,
        metavar=("FILE_A", "FILE_B"),
        help="of `acnet calibrate`, for counts and grades",
    )
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="write the table here too")
    add_bootstrap_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compares and shows the differences.

    Args:
        args: the parsed command line.

    Returns:
        The exit status 0.

    Raises:
        UserError: a file cannot be used, or is not about the photos of the ground truth.
    """
    set_up_logging(quiet=args.quiet)
    from acnet.evaluation.bootstrap import compare, comparison_json
    from acnet.evaluation.coco_files import read_ground_truth
    from acnet.evaluation.printed_tables import comparison_text
    from acnet.evaluation.saved_predictions import read_saved_predictions
    from acnet.files import write_json

    both = (args.a, args.b)
    models = args.count_models and tuple(map(read_count_model_for, args.count_models, both))
    ground_truth = read_ground_truth(args.ground_truth)
    detections = [read_saved_predictions(path, ground_truth) for path in both]
    options = evaluation_options(args)
    rows = compare(ground_truth, *detections, count_models=models, options=options)
    if not args.quiet:
        sys.stdout.write(
            f"A: {args.a}{_silence(ground_truth, detections[0])}\n"
            f"B: {args.b}{_silence(ground_truth, detections[1])}\n"
            f"{ground_truth.num_photos} photos, {ground_truth.counts().sum()} lesions; paired "
            f"bootstrap, {options.replicates} replicates, seed {options.seed}\n\n"
            f"{comparison_text(rows, options)}"
        )
    if args.json:
        write_json(args.json, comparison_json(rows, ground_truth, options), indent=2)
    return 0


def _silence(ground_truth: "GroundTruth", detections: "Detections") -> str:
    """Says how many photos have no detection, which may be those of another set."""
    silent = int((detections.counts(ground_truth.num_photos) == 0).sum())
    return f", {silent} photos without a detection" if silent else ""
