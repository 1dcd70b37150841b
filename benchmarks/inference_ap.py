#!/usr/bin/env python
"""What speed costs in AP: each precision, with and without the optimisations, on the same photos.

Generated photos that no training has seen. The last line is JSON: `ap` is COCO AP and AP50 in
percent at 1000 detections a photo, `change` the AP against float32 without optimisations.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this clone, not an installed one

import acnet
from benchmarks.common import machine_state, report
from benchmarks.photos import draw_set
from benchmarks.predict import average_precision

SIDES = {
    "float32": {"precision": "float32", "optimize": False},
    "auto": {"precision": "auto", "optimize": False},
    "float32 optimised": {"precision": "float32", "optimize": True},
    "auto optimised": {"precision": "auto", "optimize": True},
}
DENSITY = 1.6
SEED = 3000


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, default=Path("output/demo/run/model_final.pth"))
    parser.add_argument("--config", help="default: config.yaml beside the weights")
    parser.add_argument("--photos", type=int, default=40, help="default 40")
    parser.add_argument("--size", type=int, default=640, help="of their sides; default 640")
    parser.add_argument(
        "--work", type=Path, default=Path("output/benchmarks/inference_ap"), help="for the photos"
    )
    parser.add_argument("--quick", action="store_true", help="four photos")
    return parser


def main() -> None:
    """Measures, and writes one line of JSON."""
    args = build_parser().parse_args()
    if args.quick:
        args.photos = 4
    config = args.config or args.weights.with_name("config.yaml")
    folder = args.work / f"photos_{args.size}_{SEED}"
    photos = draw_set(folder, args.photos, (args.size, args.size), density=DENSITY, seed=SEED)
    ap = {}
    for name, options in SIDES.items():
        predictor = acnet.load(args.weights, config=config, **options)
        found = [predictor(photo.path) for photo in photos]
        columns = [
            {"boxes": one.pred_boxes.tensor.tolist(), "scores": one.scores.tolist()}
            for one in found
        ]
        ap[name] = average_precision(photos, {"photos": columns})
        sys.stderr.write(f"{name}: AP, AP50 {ap[name]}\n")
    report(
        {
            "name": "inference_ap",
            "ap": ap,
            "change": {name: round(one[0] - ap["float32"][0], 2) for name, one in ap.items()},
            "photos": args.photos,
            "lesions": sum(len(photo.boxes_xyxy) for photo in photos),
            "machine": machine_state(),
        }
    )


if __name__ == "__main__":
    main()
