"""`acnet evaluate` and `acnet compare`: saved predictions against ground truth, without a model."""

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acnet.cli.main import add_command, natural_int, path, positive_int, set_up_logging
from acnet.errors import UserError, printable
from acnet.files import check_output_file, write_json

if TYPE_CHECKING:
    from acnet.evaluation.columns import Detections, GroundTruth
    from acnet.evaluation.count_model import CountModel
    from acnet.evaluation.result import EvaluationOptions

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
COMPARE_DESCRIPTION = """\
Compare two models on the same photos by a paired bootstrap: photos are drawn again and again, and
both models are measured on the same draw. For each number it shows

  B - A      the difference on all photos
  interval   95 % of the differences on the drawn photos
  p          how often chance alone would show as much, were the models equal
  better     A or B, where p is below 0.05

p is that of one number. Of twenty numbers one is below 0.05 by chance, so choose beforehand which
one decides.
"""
COMPARE_EPILOG = """\
examples:
  acnet compare gt.json baseline/predictions.json acnet/predictions.json
  acnet compare gt.json a.json b.json --json difference.json --replicates 10000

with counts and grades, each model with the threshold that was fitted for it:
  acnet compare gt.json a.json b.json --count-models count_a.json count_b.json
"""
PREDICTIONS_HELP = (
    "COCO results; beside an images.json of `acnet predict`, or with a file_name in each row, "
    "photos are matched by name, else by the ids of GT.json"
)
ON_STDOUT = Path("-")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `evaluate` and `compare` to the command line."""
    summary = "compare saved predictions with ground truth"
    parser = add_command(subparsers, "evaluate", run, summary, DESCRIPTION, EPILOG)
    add_ground_truth(parser)
    parser.add_argument("predictions", type=path, metavar="PREDICTIONS.json", help=PREDICTIONS_HELP)
    parser.add_argument(
        "--count-model",
        type=path,
        metavar="FILE",
        help="of `acnet calibrate`, for counts and grades",
    )
    parser.add_argument("--report", type=path, metavar="DIR", help="write a page to look at here")
    parser.add_argument(
        "--with-photos",
        action="store_true",
        help="show photos in the report, and so the people in them; drawn as schematics otherwise",
    )
    parser.add_argument(
        "--image-root", type=path, metavar="DIR", help="where the file names of GT.json lead to"
    )
    _add_output_options(parser)

    summary = "tell whether one model is better than another"
    parser = add_command(
        subparsers, "compare", run_compare, summary, COMPARE_DESCRIPTION, COMPARE_EPILOG
    )
    add_ground_truth(parser)
    parser.add_argument("a", type=path, metavar="A.json", help=PREDICTIONS_HELP)
    parser.add_argument("b", type=path, metavar="B.json", help="the same of the other model")
    parser.add_argument(
        "--count-models",
        type=path,
        nargs=2,
        metavar=("FILE_A", "FILE_B"),
        help="of `acnet calibrate`, for counts and grades",
    )
    _add_output_options(parser)


def add_ground_truth(parser: argparse.ArgumentParser, name: str = "GT.json") -> None:
    """Add the first argument, the ground truth, which the help calls by `name`."""
    parser.add_argument("ground_truth", type=path, metavar=name, help="COCO annotations")


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json",
        type=path,
        nargs="?",
        const=ON_STDOUT,
        metavar="OUT.json",
        help="one JSON document for programs, on stdout in place of the text or in a file",
    )
    parser.add_argument(
        "--replicates",
        type=natural_int,
        default=1000,
        metavar="N",
        help="of the bootstrap; 0 for no intervals; default 1000",
    )
    parser.add_argument(
        "--seed", type=natural_int, default=0, metavar="S", help="of the bootstrap; default 0"
    )
    parser.add_argument(
        "--max-detections",
        type=positive_int,
        default=1000,
        metavar="N",
        help="best detections of a photo and class that count; default 1000",
    )
    parser.add_argument(
        "--quiet", action="store_true", help="no table and no progress bar, errors only"
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate and say what was found."""
    inputs = [args.ground_truth, args.predictions, args.count_model]
    _check_options(args, [path for path in inputs if path])
    set_up_logging(logging.WARNING if args.quiet else logging.INFO)
    from acnet.evaluation.coco_files import read_ground_truth
    from acnet.evaluation.printed_tables import result_text
    from acnet.evaluation.protocol import evaluate
    from acnet.evaluation.saved_predictions import read_saved_predictions

    count_model = args.count_model and _read_count_model_for(args.count_model, args.predictions)
    ground_truth = read_ground_truth(args.ground_truth)
    detections = read_saved_predictions(args.predictions, ground_truth)
    result = evaluate(ground_truth, detections, count_model=count_model, options=_options(args))
    text = result_text(result)
    if args.report:  # first, since whoever reads the text may go
        from acnet.visualization.report import write_report

        page = write_report(args.report, result, photos_root=args.image_root)
        text += f"\nreport: {page}\n"
    _show(args, text, result.to_json())
    return 0


def run_compare(args: argparse.Namespace) -> int:
    """Compare two models and show the differences."""
    both = (args.a, args.b)
    _check_json(args, [args.ground_truth, *both, *(args.count_models or ())])
    set_up_logging(logging.WARNING if args.quiet else logging.INFO)
    from acnet.evaluation.coco_files import read_ground_truth
    from acnet.evaluation.printed_tables import comparison_json, comparison_text
    from acnet.evaluation.protocol import compare
    from acnet.evaluation.saved_predictions import read_saved_predictions

    models = args.count_models and tuple(map(_read_count_model_for, args.count_models, both))
    ground_truth = read_ground_truth(args.ground_truth)
    detections = [read_saved_predictions(path, ground_truth) for path in both]
    options = _options(args)
    rows = compare(ground_truth, *detections, count_models=models, options=options)
    text = (
        f"A: {args.a}{_silence(ground_truth, detections[0])}\n"
        f"B: {args.b}{_silence(ground_truth, detections[1])}\n"
        f"{ground_truth.num_photos} photos, {ground_truth.counts().sum()} lesions; paired "
        f"bootstrap, {options.replicates} replicates, seed {options.seed}\n\n"
        f"{comparison_text(rows, options)}"
    )
    _show(args, text, comparison_json(rows, ground_truth, options))
    return 0


def _show(args: argparse.Namespace, text: str, numbers: Mapping[str, Any]) -> None:
    """Write the text, and the numbers where they are asked for."""
    if args.json == ON_STDOUT:
        sys.stdout.write(json.dumps(numbers, allow_nan=False, indent=2) + "\n")
        return
    if args.json:
        write_json(args.json, numbers, indent=2)
    if not args.quiet:
        sys.stdout.write(printable(text))


def _silence(ground_truth: "GroundTruth", detections: "Detections") -> str:
    """Say how many photos have no detection, which may be those of another set."""
    silent = int((detections.counts(ground_truth.num_photos) == 0).sum())
    return f", {silent} photos without a detection" if silent else ""


def _options(args: argparse.Namespace) -> "EvaluationOptions":
    from acnet.evaluation.result import EvaluationOptions

    return EvaluationOptions(
        max_detections=args.max_detections,
        replicates=args.replicates,
        seed=args.seed,
        progress=not args.quiet,
    )


def _read_count_model_for(path: Path, predictions: Path) -> "CountModel":
    """Read a count model, unless it was fitted to scores of another merging."""
    from acnet.evaluation.count_model import check_merge, read_count_model
    from acnet.evaluation.saved_predictions import saved_merge

    model = read_count_model(path)
    merge = saved_merge(predictions)
    if merge is not None:
        check_merge(model, merge, source=str(path))
    return model


def _check_json(args: argparse.Namespace, inputs: list[Path]) -> None:
    if args.json and args.json != ON_STDOUT:
        from acnet.evaluation.result import JSON_MARKS

        check_output_file(args.json, inputs=inputs, marks=JSON_MARKS, option="--json")


def _check_options(args: argparse.Namespace, inputs: list[Path]) -> None:
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
    _check_json(args, inputs)
    if args.report:
        from acnet.visualization.report import check_report_folder

        check_report_folder(args.report, inputs=[*inputs, *filter(None, [args.json])])
