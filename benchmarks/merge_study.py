#!/usr/bin/env python
"""Compare the ways of merging the detections of tiles, on generated photos.

Draws photos that no training has seen (seed and pixels are options), runs the model once over the
tiles of each, merges what it found in every way, and prints a table for docs/lab/merge_study.md:

  AP, AP50   in percent, at most 1000 detections a photo, with the bootstrap interval over photos
  MAE        of the counts, at the score threshold that fits them best on other photos
  seam       missed and surplus lesions for 100 lesions, at that threshold, of those whose box comes
             within --seam-px of an inner edge of a tile; "rest" of all others
  change     of AP against the first row, with the interval of the paired bootstrap

The tiles' detections are kept in --work, so that the table is made anew in seconds. The last line
is the same as JSON.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this clone, not an installed one

from acnet.evaluation import GroundTruth, Matches, PrecisionCurves, count_errors, match
from acnet.evaluation.bootstrap import Replicates, bootstrap, percentile_interval
from acnet.evaluation.count_fit import fit_threshold
from acnet.inference import MergeOptions, TilingOptions
from acnet.tiling.merge import METHODS
from benchmarks.merge_cases import Case, Variant, load_cases
from benchmarks.toy_truth import detections_of, ground_truth_of

KEYS = ("AP@1000", "AP50@1000", "MAE", "bias", "seam", "rest")
LEVEL = 0.95


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, default=Path("output/demo/run/model_final.pth"))
    parser.add_argument("--config", help="default: config.yaml beside the weights")
    parser.add_argument("--photos", type=int, default=40, help="that are compared; default 40")
    parser.add_argument("--fit-photos", type=int, default=20, help="for the threshold; default 20")
    parser.add_argument("--side", type=int, default=1600, help="of a photo in pixels")
    parser.add_argument("--density", type=float, default=3.0, help="of lesions")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--tile", type=int, default=640, help="longest side in pixels")
    parser.add_argument("--overlap", type=int, default=128, help="of tiles in pixels")
    parser.add_argument("--seam-px", type=float, default=40.0)
    parser.add_argument("--margins", type=float, nargs="+", default=[8.0], help="of cut boxes")
    parser.add_argument("--ious", type=float, nargs="+", default=[0.3, 0.5], help="of merging")
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--work", type=Path, default=Path("output/benchmarks/merge_study"))
    parser.add_argument("--quick", action="store_true", help="a few small photos")
    return parser


def variants(args: argparse.Namespace) -> Iterator[Variant]:
    """Gives every way of merging, the default first.

    Args:
        args: the parsed command line.
    """
    yield Variant("default", MergeOptions(), TilingOptions().slack_px)
    for method in METHODS:
        ious = args.ious if method != "soft_nms-gaussian" else [0.5]  # it has no threshold
        withins = (False, True) if method != "cluster" else (False,)
        for iou, drop_cut, within in itertools.product(ious, (True, False), withins):
            for margin in args.margins if drop_cut else args.margins[:1]:
                options = MergeOptions(
                    method=method,
                    iou_threshold=iou,
                    drop_cut=drop_cut,
                    margin_px=margin,
                    within_tiles=within,
                )
                yield Variant(variant_name(options), options)


def variant_name(options: MergeOptions) -> str:
    """Returns what the table calls a way of merging.

    Args:
        options: of merging.
    """
    name = options.method
    name += "" if name == "soft_nms-gaussian" else f" {options.iou_threshold:g}"
    name += f", drop cut ({options.margin_px:g} px)" if options.drop_cut else ", keep cut"
    return name + (", within tiles" if options.within_tiles else "")


class Statistic:
    """AP, counts and errors at seams, for any weights of the photos.

    Args:
        matches: of all photos.
        threshold: lowest score that counts.
        tiles_xyxy: of every photo.
        seam_px: how near a box is to an inner edge, to be at a seam.
    """

    def __init__(
        self, matches: Matches, threshold: float, tiles_xyxy: np.ndarray, seam_px: float
    ) -> None:
        truth, detections = matches.ground_truth, matches.detections
        photos = truth.num_photos
        self._curves = PrecisionCurves(matches, suffixes=("",), caps=(1000,), voc=False)
        self._true = truth.counts()
        self._predicted = detections.counts(photos, score_threshold=threshold)
        counted = detections.scores >= threshold
        partners = matches.matched_gt()
        missed = np.ones(len(truth), bool)
        missed[partners[counted & (partners >= 0)]] = False
        surplus = counted & (partners < 0)
        self._parts = {}
        at_seam = [
            near_edge(boxes, tiles_xyxy, seam_px)
            for boxes in (truth.boxes_xyxy, detections.boxes_xyxy)
        ]
        for name, lesions, boxes in (("seam", *at_seam), ("rest", *(~one for one in at_seam))):
            errors = np.bincount(truth.photo[missed & lesions], minlength=photos)
            errors += np.bincount(detections.photo[surplus & boxes], minlength=photos)
            self._parts[name] = errors, np.bincount(truth.photo[lesions], minlength=photos)

    def __call__(self, photo_weights: np.ndarray) -> Mapping[str, float | None]:
        """Computes the numbers.

        Args:
            photo_weights: (P,) how often each photo counts.
        """
        numbers = dict(self._curves.average_precision(photo_weights))
        numbers |= count_errors(self._predicted, self._true, photo_weights=photo_weights)
        for name, (errors, lesions) in self._parts.items():
            numbers[name] = 100 * (photo_weights @ errors) / (photo_weights @ lesions)
        return numbers


def near_edge(boxes: np.ndarray, tiles_xyxy: np.ndarray, distance_px: float) -> np.ndarray:
    """Tells which boxes come near an inner edge of a tile.

    Args:
        boxes: (N, 4).
        tiles_xyxy: (T, 4).
        distance_px: how near.
    """
    near = np.zeros(len(boxes), bool)
    for axis in (0, 1):
        starts, ends = np.unique(tiles_xyxy[:, axis]), np.unique(tiles_xyxy[:, axis + 2])
        for edge in (*starts[1:], *ends[:-1]):
            near |= (boxes[:, axis] < edge + distance_px) & (
                boxes[:, axis + 2] > edge - distance_px
            )
    return near


def evaluate(
    fit: list[Case],
    cases: list[Case],
    truth: GroundTruth,
    variant: Variant,
    args: argparse.Namespace,
) -> Replicates:
    """Fits the threshold on some photos and evaluates on the others.

    Args:
        fit: photos for the threshold.
        cases: photos to evaluate.
        truth: of the latter.
        variant: the way of merging.
        args: the parsed command line.
    """
    fitted = detections_of([case.merged(variant) for case in fit])
    true = np.array([len(case.boxes_xyxy) for case in fit])
    threshold = fit_threshold(true, fitted.photo, fitted.scores)
    matches = match(truth, detections_of([case.merged(variant) for case in cases]))
    statistic = Statistic(matches, threshold, cases[0].tiles_xyxy, args.seam_px)
    return bootstrap(statistic, KEYS, truth.num_photos, replicates=args.replicates)


def with_interval(values: np.ndarray, value: float) -> str:
    """Returns a number with its bootstrap interval.

    Args:
        values: (R,) replicates.
        value: on all photos.
    """
    low, high = percentile_interval(values, LEVEL)
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def main() -> None:
    """Prints the table."""
    args = build_parser().parse_args()
    if args.quick:
        args.photos, args.fit_photos, args.side, args.replicates = 4, 4, 700, 50
    cases = load_cases(args)
    fit, cases = cases[: args.fit_photos], cases[args.fit_photos :]
    truth = ground_truth_of([(case.image_hw, case.boxes_xyxy) for case in cases])
    columns = ("AP", "AP50", "MAE", "bias", "seam", "rest")
    sys.stdout.write(
        f"{len(cases)} photos, {len(truth)} lesions, {len(cases[0].tiles_xyxy)} tiles\n"
    )
    sys.stdout.write(f"| merging | {' | '.join(columns)} | change of AP |\n")
    sys.stdout.write("|---" * (len(columns) + 2) + "|\n")
    first, rows = None, {}
    for variant in variants(args):
        numbers = evaluate(fit, cases, truth, variant, args)
        first = numbers if first is None else first
        cells = [with_interval(numbers.replicates[:, 0], numbers.values[0])]
        cells += [f"{value:.1f}" for value in numbers.values[1:2]]
        cells += [f"{value:.2f}" for value in numbers.values[2:4]]
        cells += [with_interval(numbers.replicates[:, i], numbers.values[i]) for i in (4, 5)]
        change = numbers.replicates[:, 0] - first.replicates[:, 0]
        cells.append(with_interval(change, numbers.values[0] - first.values[0]))
        sys.stdout.write(f"| {variant.name} | {' | '.join(cells)} |\n")
        sys.stdout.flush()
        rows[variant.name] = dict(zip(KEYS, numbers.values.round(3).tolist(), strict=True))
    sys.stdout.write(json.dumps({"name": "merge_study", "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
