"""Saved ground truth and predictions, as users of the commands that evaluate have them."""

import json
from pathlib import Path

from acnet.evaluation.columns import Detections, GroundTruth
from acnet.photos.results import PhotoCount, PhotoResult, write_results
from tests.evaluation.coco_content import write_predictions, write_truth
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


def save_as_predict_does(
    folder: Path, num_photos: int, *, seed: int, merge: str = "nms"
) -> tuple[Path, Path]:
    """Write `gt.json`, and predictions as `acnet predict` writes them, with ids of their own.

    The photos were predicted in the opposite order, as a folder's order may be.
    """
    truth, detections = simulate(num_photos, seed=seed)
    photos = list(enumerate(range(num_photos)[::-1], start=1))
    results = [
        PhotoResult(
            image_id=image_id,
            name=truth.file_names[photo],
            image_hw=tuple(truth.image_hw[photo].tolist()),
            rows=[],
            count=PhotoCount(count=0),
            seconds=0.0,
            photo_size_px=640,
        )
        for image_id, photo in photos
    ]
    rows = [
        {"image_id": image_id, "category_id": 1, "bbox": box, "score": score}
        for image_id, photo in photos
        for box, score in zip(
            detections.boxes_xywh[detections.photo == photo].tolist(),
            detections.scores[detections.photo == photo].tolist(),
            strict=True,
        )
    ]
    info = {"merge": merge}
    write_results(folder / "results", results, [], rows=rows, class_names=["acne"], info=info)
    return write_truth(folder / "gt.json", truth), folder / "results" / "predictions.json"


def read(path: Path) -> dict:
    """Read JSON."""
    return json.loads(path.read_text(encoding="utf-8"))
