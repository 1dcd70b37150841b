"""Write an evaluation report from made-up detections, to see what it shows without a model.

    python scripts/example_report.py --output output/example_report

Ground truth and detections are drawn at random: small lesions are missed more often, false alarms
have lower scores, and some lesions are found twice. Nothing in it is a result of ACNet.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from acnet.evaluation.columns import Detections, GroundTruth, sort_detections
from acnet.evaluation.count_fit import fit_count_model
from acnet.evaluation.protocol import evaluate
from acnet.evaluation.result import EvaluationOptions
from acnet.visualization.report import write_report

PHOTO_HW = ((1600, 1200), (1200, 1600), (1536, 1152))
MEAN_LESIONS = (3, 11, 30, 75)  # one for each Hayashi grade


def made_up(photos: int, seed: int, *, classes: int = 1) -> tuple[GroundTruth, Detections]:
    """Draw ground truth and detections.

    Args:
        photos: How many, at least 1.
        seed: Of all numbers.
        classes: Of lesions.

    Returns:
        Both, as an evaluation takes them.
    """
    rng = np.random.default_rng(seed)
    image_hw = np.array(PHOTO_HW)[rng.integers(len(PHOTO_HW), size=photos)]
    lesions = rng.poisson(np.array(MEAN_LESIONS)[rng.choice(4, photos, p=(0.45, 0.3, 0.17, 0.08))])
    photo = np.repeat(np.arange(photos, dtype=np.int32), lesions)
    boxes_xywh = _boxes(rng, image_hw[photo])
    truth = GroundTruth(
        image_ids=np.arange(1, photos + 1),
        file_names=tuple(f"example_{index:03d}.jpg" for index in range(1, photos + 1)),
        image_hw=image_hw,
        category_ids=np.arange(1, classes + 1),
        class_names=("acne",) if classes == 1 else tuple(f"kind {k}" for k in range(classes)),
        photo=photo,
        classes=rng.integers(classes, size=len(photo), dtype=np.int32),
        boxes_xywh=boxes_xywh,
        areas=boxes_xywh[:, 2] * boxes_xywh[:, 3],
        crowd=np.zeros(len(photo), dtype=bool),
        difficult=np.zeros(len(photo), dtype=bool),
    )
    return truth, _detections(rng, truth)


def _boxes(rng: np.random.Generator, image_hw: np.ndarray) -> np.ndarray:
    """Draw lesions in an ellipse, such as a face fills a photo."""
    number = len(image_hw)
    angle, radius = rng.uniform(0, 2 * np.pi, number), np.sqrt(rng.uniform(0, 1, number))
    centre = 0.5 + 0.38 * np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]
    size = np.exp(rng.normal(np.log(34), 0.5, (number, 1))) * rng.uniform(0.85, 1.15, (number, 2))
    return np.concatenate([centre * image_hw[:, ::-1] - size / 2, size], axis=1).round(1)


def _detections(rng: np.random.Generator, truth: GroundTruth) -> Detections:
    size = np.sqrt(truth.areas)
    found = rng.uniform(size=len(truth)) < 0.93 / (1 + np.exp((14 - size) / 5))
    twice = found & (rng.uniform(size=len(truth)) < 0.05)
    lesions = np.concatenate([np.flatnonzero(found), np.flatnonzero(twice)])
    scores = rng.beta(3.4, 2.2, len(lesions))
    scores[found.sum() :] *= 0.5  # the second detections
    jitter = rng.normal(0, 0.06, (len(lesions), 4)) * truth.boxes_xywh[lesions][:, [2, 3, 2, 3]]
    false_photo = np.repeat(np.arange(truth.num_photos), rng.poisson(2 + 0.4 * truth.counts()))
    return sort_detections(
        photo=np.concatenate([truth.photo[lesions], false_photo]),
        classes=np.concatenate(
            [truth.classes[lesions], rng.integers(truth.num_classes, size=len(false_photo))]
        ),
        boxes_xywh=np.concatenate(
            [truth.boxes_xywh[lesions] + jitter, _boxes(rng, truth.image_hw[false_photo])]
        ),
        scores=np.concatenate([scores, rng.beta(1.4, 3.2, len(false_photo))]),
    )


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="for the report")
    parser.add_argument("--photos", type=int, default=200, metavar="N", help="default 200")
    parser.add_argument("--classes", type=int, default=1, metavar="N", help="default 1")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")
    parser.add_argument("--no-count-model", action="store_true", help="leave counts and grades out")
    return parser


def main() -> None:
    """Make up, evaluate and write."""
    args = build_parser().parse_args()
    validation, found = made_up(args.photos, args.seed + 1, classes=args.classes)
    model = None
    if not args.no_count_model:
        model = fit_count_model(validation.counts(), found, merge="none")
    truth, detections = made_up(args.photos, args.seed, classes=args.classes)
    options = EvaluationOptions(seed=args.seed, progress=True)
    result = evaluate(truth, detections, count_model=model, options=options)
    sys.stdout.write(f"written to {write_report(args.output, result)}\n")


if __name__ == "__main__":
    main()
