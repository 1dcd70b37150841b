"""Predictions of `acnet predict` beside a ground truth that has ids of its own.

`acnet predict` knows nothing of a ground truth: it numbers the photos that it was given, and says
in images.json beside its predictions what the numbers mean. Where that file is there, photos are
matched by name and classes by name; where it is not, the ids are those of the ground truth, as in
any COCO results.
"""

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from acnet.errors import UserError, shorten
from acnet.evaluation.coco_files import ClassNames, ground_truth_from_coco
from acnet.evaluation.columns import Detections, GroundTruth, sort_detections
from acnet.evaluation.result_rows import read_predictions
from acnet.file_names import match_names

logger = logging.getLogger(__name__)

IMAGES_FILE = "images.json"
NAMES_SHOWN = 3


def read_saved_predictions(path: str | Path, ground_truth: GroundTruth) -> Detections:
    """Read predictions, by the names in the images.json beside them where there is one.

    Names are equal in any spelling, those of photos also by the end of their path where only one
    photo fits: `photos/a.jpg` is `a.JPG`. Predicted photos that the ground truth does not hold are
    left out.

    Raises:
        UserError: A photo of the ground truth was not predicted, or in another size, a name fits
            several photos, the classes differ, or a file cannot be read.
    """
    path = Path(path)
    images_file = path.with_name(IMAGES_FILE)
    if not images_file.is_file():
        return read_predictions(path, ground_truth)
    content = _read_images_json(images_file)
    if isinstance(content, dict):
        content = {**content, "annotations": []}
    named = ground_truth_from_coco(content, source=str(images_file))  # without boxes
    photos = _photos_by_name(named, ground_truth, images_file)
    classes = _classes_by_name(named, ground_truth, images_file)
    detections = read_predictions(path, named, stems=False)
    photo = photos[detections.photo]
    known = photo >= 0
    return sort_detections(
        photo=photo[known],
        classes=classes[detections.classes[known]],
        boxes_xywh=detections.boxes_xywh[known],
        scores=detections.scores[known],
    )


def saved_merge(path: Path) -> str | None:
    """Read what merged the detections, such as "nms", from the images.json of `acnet predict`.

    Raises:
        UserError: There is an images.json that cannot be read.
    """
    images_file = path.with_name(IMAGES_FILE)
    content = _read_images_json(images_file) if images_file.is_file() else None
    info = content.get("info") if isinstance(content, dict) else None
    merge = info.get("merge") if isinstance(info, dict) else None
    return merge if isinstance(merge, str) else None


def _read_images_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"The {IMAGES_FILE} beside predictions says which photos and classes they are of. "
            f"Received {path}, which cannot be read as JSON ({error}). Predict again, or move the "
            "file away if the ids in the predictions are those of the ground truth."
        ) from error


def _photos_by_name(named: GroundTruth, truth: GroundTruth, path: Path) -> np.ndarray:
    """Return the index in the ground truth of each predicted photo, -1 for photos not in it."""
    matched = match_names(truth.file_names, named.file_names)
    places = {name: index for index, name in enumerate(named.file_names)}
    uses = Counter(named.file_names)
    photos = np.full(named.num_photos, -1, dtype=np.int32)
    missing = []
    for index, name in enumerate(truth.file_names):
        there = matched.found.get(name)
        place = places.get(there)
        taken = place is not None and photos[place] >= 0
        if name in matched.ambiguous or uses[there] > 1 or taken:
            raise UserError(
                "Photos are matched by name, the end of a path being enough, so a name must fit one"
                f" photo only. Received {name} in the ground truth, which fits several photos, or a"
                f" photo that fits another name too, in {path}; predict the photos from their "
                "common parent folder, or use predictions with the ids of the ground truth."
            )
        if place is None:
            missing.append(name)
        else:
            photos[place] = index
            _check_size(name, named.image_hw[place], truth.image_hw[index], path)
    if missing:
        raise UserError(
            "Every photo of the ground truth must have been predicted, since one without detections"
            f" counts as one where nothing was found. Received {path}, in which {len(missing)} of "
            f"{truth.num_photos} photos are missing ({shorten(missing, NAMES_SHOWN)}); predict "
            "these too, or move the file away if the ids in the predictions are those of the "
            "ground truth."
        )
    if matched.by_end:
        logger.info("%d photos are matched by the end of their path", len(matched.by_end))
    if (photos < 0).any():
        logger.info(
            "%d of the %d predicted photos are not in the ground truth and are left out",
            int((photos < 0).sum()),
            named.num_photos,
        )
    return photos


def _check_size(name: str, predicted_hw: np.ndarray, true_hw: np.ndarray, path: Path) -> None:
    if tuple(predicted_hw) != tuple(true_hw):
        true, predicted = (f"{width} x {height}" for height, width in (true_hw, predicted_hw))
        raise UserError(
            "Boxes are compared in pixels, so photos must have been predicted in the size of the "
            f"ground truth. Received {name} of {true} in the ground truth and {predicted} in "
            f"{path}; predict the photos that were annotated."
        )


def _classes_by_name(named: GroundTruth, truth: GroundTruth, path: Path) -> np.ndarray:
    """Return the index in the ground truth of each predicted class."""
    annotated, names = set(np.unique(truth.classes).tolist()), ClassNames(truth.class_names)
    places = [names.find(name) for name in named.class_names]
    if annotated <= set(places) and None not in places and len(set(places)) == len(places):
        return np.array(places, dtype=np.int32)
    true = [truth.class_names[index] for index in sorted(annotated)] or truth.class_names
    if named.num_classes == len(true) == 1:
        logger.info(
            "The predicted class %r is taken for %r, the only one in the ground truth",
            named.class_names[0],
            true[0],
        )
        return np.array([truth.class_names.index(true[0])], dtype=np.int32)
    raise UserError(
        "Classes are matched by name, so predictions and ground truth must have the same ones. "
        f"Received {', '.join(truth.class_names)} in the ground truth and "
        f"{', '.join(named.class_names)} in {path}; rename the classes in one of the two."
    )
