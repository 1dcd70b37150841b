"""`acnet calibrate`: from which score on is a detection a lesion that counts?"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from acnet.cli.evaluate import PREDICTIONS_HELP, add_ground_truth
from acnet.cli.main import add_command, natural_int, path, set_up_logging
from acnet.errors import UserError
from acnet.files import check_output_file

if TYPE_CHECKING:
    from acnet.evaluation.count_model import CountModel, Domain

DESCRIPTION = """\
Fit the count of lesions on validation photos, and write it as a small JSON file. One half of the
photos gives the score threshold with the smallest mean absolute error; the other half says how
wrong counts are, so that each count gets an interval that holds the true one in 90 % of new photos.
All of them say what a score means: the share of detections with such a score that is right.

A grade is given only where the counts are of what Hayashi's limits are for: inflammatory lesions
(papules and pustules, no comedones) on one half of the face. Say what your photos and boxes show.

With --image-root the photos themselves are read too, and photos unlike them will get no count.

The threshold belongs to the scores it was fitted to: those of one model, and of one way of merging
overlapping detections, whose name is stored with it. Fit anew when either changes. Use photos
on which the model was not trained, and on which it is not tested.
"""
EPILOG = """\
examples:
  acnet predict val_photos/ --weights model.pth --output val
  acnet calibrate gt_val.json val/predictions.json --output count.json
  acnet calibrate gt_val.json val/predictions.json --output count.json \\
      --view "half face" --lesions inflammatory

then:
  acnet evaluate gt_test.json test/predictions.json --count-model count.json
"""
# Those of `acnet.evaluation.count_model`, which would load numpy before the command is known.
VIEWS = ("half face", "whole face", "part of a face", "unknown")
LESIONS = ("inflammatory", "all", "unknown")
MARKS = ('"format": "acnet count model"',)


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `calibrate` to the command line."""
    parser = add_command(
        subparsers, "calibrate", run, "fit counts on validation photos", DESCRIPTION, EPILOG
    )
    add_ground_truth(parser, "GT_VAL.json")
    parser.add_argument(
        "predictions", type=path, metavar="PREDICTIONS_VAL.json", help=PREDICTIONS_HELP
    )
    parser.add_argument(
        "--merge",
        type=_name,
        metavar="NAME",
        help="what merged overlapping detections, such as 'nms, photo size auto'; default: what "
        "the images.json of `acnet predict` beside the predictions says",
    )
    parser.add_argument("--output", required=True, type=path, metavar="FILE", help="JSON to write")
    parser.add_argument(
        "--coverage",
        type=_coverage,
        default=0.9,
        metavar="X",
        help="share of photos whose interval shall hold the true count; default 0.9",
    )
    parser.add_argument(
        "--view", choices=VIEWS, default="unknown", help="what the photos show; default unknown"
    )
    parser.add_argument(
        "--lesions",
        choices=LESIONS,
        default="unknown",
        help="which lesions the boxes of GT_VAL.json mark; default unknown",
    )
    parser.add_argument(
        "--image-root",
        type=path,
        metavar="DIR",
        help="where the file names of GT_VAL.json lead to: learn what photos look like, so that "
        "others, such as ones without skin, get no count",
    )
    parser.add_argument(
        "--seed", type=natural_int, default=0, metavar="S", help="of the two halves; default 0"
    )


def run(args: argparse.Namespace) -> int:
    """Fit, write and say how well it counts."""
    inputs = [args.ground_truth, args.predictions]
    check_output_file(args.output, inputs=inputs, marks=MARKS, option="--output")
    set_up_logging()
    from acnet.evaluation.calibration import fit_score_map
    from acnet.evaluation.coco_files import read_ground_truth
    from acnet.evaluation.count_fit import fit_count_model
    from acnet.evaluation.count_model import write_count_model
    from acnet.evaluation.protocol import match_once
    from acnet.evaluation.result import EvaluationOptions
    from acnet.evaluation.saved_predictions import read_saved_predictions

    merge = _merge_name(args)
    ground_truth = read_ground_truth(args.ground_truth)
    detections = read_saved_predictions(args.predictions, ground_truth)
    model = fit_count_model(
        ground_truth.counts(),
        detections,
        merge=merge,
        coverage=args.coverage,
        seed=args.seed,
        view=args.view,
        lesions=args.lesions,
    )
    matches = match_once(ground_truth, detections, EvaluationOptions())
    fit = fit_score_map(matches, threshold=model.threshold, seed=args.seed)
    domain = args.image_root and _domain(args.image_root, ground_truth.file_names)
    model = dataclasses.replace(model, probability=fit.score_map, domain=domain)
    write_count_model(args.output, model)
    low, high = (bounds.tolist() for bounds in model.interval([5, 20, 50]))
    sys.stdout.write(
        f"score {model.threshold:.4f} or more counts ({model.merge}): off by {model.fit_mae:.2f} "
        f"lesions a photo on the {model.fit_photos} photos it was fitted on, by "
        f"{model.interval_mae:.2f} on {model.interval_photos} others\n"
        f"{model.coverage:.0%} intervals: 5 counted is {low[0]} to {high[0]}, 20 is {low[1]} to "
        f"{high[1]}, 50 is {low[2]} to {high[2]}\n{_about_grades(model)}\n"
        f"probabilities by {fit.score_map.method} regression: calibration error {fit.ece:.1f} % on "
        f"photos not fitted on (of raw scores {fit.raw_ece:.1f} %), of detections that count "
        f"{fit.counted_ece:.1f} % ({fit.raw_counted_ece:.1f} %)\n"
        f"photos unlike these {'get none' if domain else 'are counted too (--image-root)'}\n"
        f"written to {args.output}\n"
    )
    return 0


def _domain(image_root: Path, file_names: Sequence[str]) -> "Domain":
    import numpy as np

    from acnet.evaluation.count_fit import fit_domain
    from acnet.photos.read import read_photo
    from acnet.photos.results import photo_traits

    in_order = sorted(file_names)
    return fit_domain(np.stack([photo_traits(read_photo(image_root / one)) for one in in_order]))


def _about_grades(model: "CountModel") -> str:
    if model.has_grade:
        return f"counts are of {model.counted}: photos get Hayashi's grade"
    return (
        f"counts are of {model.counted}: no grades, since Hayashi's limits are for inflammatory "
        "lesions on half of the face (--view, --lesions)"
    )


def _merge_name(args: argparse.Namespace) -> str:
    from acnet.evaluation.saved_predictions import saved_merge

    saved = saved_merge(args.predictions)
    if args.merge is None and saved is None:
        raise UserError(
            "A threshold belongs to one way of merging detections, so its name is stored with it. "
            f"Received {args.predictions}, beside which no images.json of `acnet predict` says it; "
            "add --merge NAME."
        )
    if None not in (args.merge, saved) and args.merge != saved:
        raise UserError(
            "A threshold belongs to the merging that made the scores. Received --merge "
            f"{args.merge}, where {args.predictions} was merged by {saved!r}; leave --merge out."
        )
    return args.merge or saved


def _coverage(text: str) -> float:
    value = float(text)  # argparse reports the ValueError of a text that is no number
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"a number between 0 and 1 is needed, received {text}")
    return value


def _name(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("a name is needed, received an empty one")
    return text.strip()
