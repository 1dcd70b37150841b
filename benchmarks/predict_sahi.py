"""One run of SAHI's `get_sliced_prediction`, for benchmarks/predict.py, in its own environment."""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this clone, not an installed one

from sahi.predict import get_sliced_prediction

from acnet.integrations.sahi import ACNetDetectionModel

SLICE_PX = 640
SCORE_FLOOR = 0.001  # as the model's own


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of this script's command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--slices-only", action="store_true")
    parser.add_argument("--output", required=True, type=Path)
    return parser


def measure(model: ACNetDetectionModel, path: str, slices_only: bool) -> dict:
    """Predicts a photo from its file.

    Args:
        model: the model.
        path: of the photo.
        slices_only: without the photo at once.
    """
    start, cpu_start = time.perf_counter(), time.process_time()
    result = get_sliced_prediction(
        path,
        model,
        slice_height=SLICE_PX,
        slice_width=SLICE_PX,
        overlap_height_ratio=0.5,
        overlap_width_ratio=0.5,
        perform_standard_pred=not slices_only,
        verbose=0,
    )
    found = result.object_prediction_list
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu_start,
        "boxes": [one.bbox.to_xyxy() for one in found],
        "scores": [one.score.value for one in found],
    }


def main() -> None:
    """Predicts all photos."""
    args = build_parser().parse_args()
    model = ACNetDetectionModel(
        model_path=args.weights, config_path=args.config, confidence_threshold=SCORE_FLOOR
    )
    model.perform_inference(np.zeros((SLICE_PX, SLICE_PX, 3), np.uint8))  # to warm up
    photos = [measure(model, path, args.slices_only) for path in args.photos]
    args.output.write_text(json.dumps({"photos": photos}), encoding="utf-8")
    sys.stdout.write(json.dumps({"seconds": sum(one["seconds"] for one in photos)}) + "\n")


if __name__ == "__main__":
    main()
