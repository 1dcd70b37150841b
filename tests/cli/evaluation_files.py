"""Saved ground truth and predictions, as users of the commands that evaluate have them."""

import json
from pathlib import Path

import numpy as np

from acnet.evaluation.columns import Detections, GroundTruth
from tests.evaluation.coco_content import images_of, write, write_predictions, write_truth
from tests.evaluation.simulated import simulate


def save_set(folder: Path, num_photos: int, *, seed: int) -> tuple[Path, Path]:
    """Write `gt.json` and `predictions.json` of simulated photos, with the same ids."""
    truth, detections = simulate(num_photos, seed=seed)
    return save(folder, truth, detections)


def save(folder: Path, truth: GroundTruth, detections: Detections) -> tuple[Path, Path]:
    """Write columns as `gt.json` and `predictions.json`, with the same ids."""
    return (
        write_truth(folder / "gt.json", truth),
        write_predictions(folder / "predictions.json", detections, truth.image_ids),
    )


def save_as_predict_does(folder: Path, num_photos: int, *, seed: int) -> tuple[Path, Path]:
    """Write `gt.json`, and predictions in a folder of their own, with ids of their own.

    The photos were predicted in the opposite order, as a folder's order may be.
    """
    truth, detections = simulate(num_photos, seed=seed)
    ids = np.arange(num_photos, 0, -1)
    write(
        folder / "results" / "images.json",
        {
            "images": images_of(truth.file_names, ids.tolist()),
            "categories": [{"id": 1, "name": "acne"}],
        },
    )
    return (
        write_truth(folder / "gt.json", truth),
        write_predictions(folder / "results" / "predictions.json", detections, ids),
    )


def read(path: Path) -> dict:
    """Read JSON."""
    return json.loads(path.read_text(encoding="utf-8"))
