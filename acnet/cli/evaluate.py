"""`acnet evaluate`: saved predictions against ground truth, without a model."""

import argparse
import sys
from pathlib import Path

from acnet.cli._evaluation import (
    PREDICTIONS_HELP,
    add_bootstrap_options,
    add_ground_truth,
    evaluation_options,
    read_count_model_for,
    set_up_logging,
)
from acnet.errors import UserError

DESCRIPTION = """\
Compare saved predictions with ground truth. Detections are matched once; from that come

  detection     COCO's AP, AP50, AP75 and AR, VOC's AP50, by size and class
  FROC          sensitivity at 1/8 to 8 false positives a photo
  counts        MAE, RMSE, bias and limits of agreement        (with --count-model)
  grades        Hayashi's, as the LDL paper compares them      (with --count-model)
  calibration   whether a score of 0.7 is right in 70 % of the cases
  error parts   what the AP50 lost is due to

each with a bootstrap interval over photos. A number on few photos is uncertain: look at it.
"""
EPILOG = """\
examples:
  acnet predict photos/ --weights model.pth --output results
  acnet evaluate gt.json results/predictions.json

counts and grades, with a threshold fitted on validation photos, never on these:
  acnet calibrate gt_val.json val/predictions.json --output count.json
  acnet evaluate gt.json results/predictions.json --count-model count.json

all numbers as JSON, and a page with curves and the worst photos:
  acnet evaluate gt.json results/predictions.json --json numbers.json --report report \\
      --with-photos --image-root photos/
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds `evaluate` to the command line.

    Args:
        subparsers: of the main parser.
    """
    parser = subparsers.add_parser(
        "evaluate",
        help="compare saved predictions with ground truth",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_ground_truth(parser)
    parser.add_argument("predictions", type=Path, metavar="PREDICTIONS.json", help=PREDICTIONS_HELP)
    parser.add_argument(
        "--count-model",
        type=Path,
        metavar="FILE",
        help="of `acnet calibrate`, for counts and grades",
    )
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="write every number here")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write a page to look at here")
    parser.add_argument(
        "--with-photos",
        action="store_true",
        help="show photos in the report, and so the people in them; drawn as schematics otherwise",
    )
    parser.add_argument(
        "--image-root", type=Path, metavar="DIR", help="where the file names of GT.json lead to"
    )
    add_bootstrap_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluates and says what was found.

    Args:
        args: the parsed command line.

    Returns:
        The exit status 0.

    Raises:
        UserError: a file cannot be used, or the options do not go together.
    """
    _check_options(args)
    set_up_logging(quiet=args.quiet)
    from acnet.evaluation.coco_files import read_ground_truth
    from acnet.evaluation.printed_tables import result_text
    from acnet.evaluation.protocol import evaluate
    from acnet.evaluation.saved_predictions import read_saved_predictions
    from acnet.files import write_json

    count_model = args.count_model and read_count_model_for(args.count_model, args.predictions)
    ground_truth = read_ground_truth(args.ground_truth)
    detections = read_saved_predictions(args.predictions, ground_truth)
    result = evaluate(
        ground_truth, detections, count_model=count_model, options=evaluation_options(args)
    )
    if not args.quiet:
        sys.stdout.write(result_text(result))
    if args.json:
        write_json(args.json, result.to_json(), indent=2)
    if args.report:
        from acnet.visualization.report import write_report

        page = write_report(
            args.report, result, photos_root=args.image_root if args.with_photos else None
        )
        if not args.quiet:
            sys.stdout.write(f"\nreport: {page}\n")
    return 0


def _check_options(args: argparse.Namespace) -> None:
    if args.with_photos and not args.report:
        raise UserError(
            "--with-photos is about the report, and no other output shows photos. "
            "Received --with-photos without --report; add --report DIR, or leave it out."
        )
    if args.with_photos != bool(args.image_root):
        raise UserError(
            "Photos are shown only when asked for, and then they must be found: --with-photos and "
            "--image-root DIR go together. Received one without the other; give both or none."
        )
    if args.image_root and not args.image_root.is_dir():
        raise UserError(
            "--image-root is the folder in which the file names of the ground truth are. "
            f"Received {args.image_root}, which is no folder; check its spelling."
        )
