"""Predictions of `acnet predict` beside a ground truth that has ids of its own.

`acnet predict` knows nothing of a ground truth: it numbers the photos that it was given, and says
in images.json beside its predictions what the numbers mean. Where that file is there, photos are
matched by name and classes by name; where it is not, the ids are those of the ground truth, as in
any COCO results.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from acnet.errors import UserError
from acnet.evaluation.coco_files import ground_truth_from_coco, read_predictions
from acnet.evaluation.columns import Detections, GroundTruth, sort_detections

logger = logging.getLogger(__name__)

IMAGES_FILE = "images.json"
MOST_NAMES_SHOWN = 3


def read_saved_predictions(path: Path, ground_truth: GroundTruth) -> Detections:
    """Read predictions, by the names in the images.json beside them where there is one.

    A photo has the same name when one of the two is the end of the other, in whole folders:
    `photos/a.jpg` is `a.jpg`. Predicted photos that the ground truth does not hold are left out.

    Args:
        path: COCO results.
        ground_truth: What they are to be compared with.

    Returns:
        The detections in the photos and classes of the ground truth.

    Raises:
        UserError: A photo of the ground truth was not predicted, or in another size, a name fits
            several photos, the classes differ, or a file cannot be read.
    """
    images_file = path.with_name(IMAGES_FILE)
    if not images_file.is_file():
        return read_predictions(path, ground_truth)
    named = _read_images(images_file)
    photos = _photos_by_name(named, ground_truth, images_file)
    classes = _classes_by_name(named, ground_truth, images_file)
    detections = read_predictions(path, named)
    photo = photos[detections.photo]
    known = photo >= 0
    return sort_detections(
        photo=photo[known],
        classes=classes[detections.classes[known]],
        boxes_xywh=detections.boxes_xywh[known],
        scores=detections.scores[known],
    )


def saved_merge(path: Path) -> str | None:
    """Read what merged the detections, from the images.json that `acnet predict` writes.

    Args:
        path: COCO results.

    Returns:
        The name, such as "nms"; None where nothing says it.

    Raises:
        UserError: There is an images.json that cannot be read.
    """
    images_file = path.with_name(IMAGES_FILE)
    content = _read_images_json(images_file) if images_file.is_file() else None
    info = content.get("info") if isinstance(content, dict) else None
    merge = info.get("merge") if isinstance(info, dict) else None
    return merge if isinstance(merge, str) else None


def _read_images(path: Path) -> GroundTruth:
    """Return the photos and classes of images.json as a ground truth without boxes."""
    content = _read_images_json(path)
    if isinstance(content, dict):
        content = {**content, "annotations": []}
    return ground_truth_from_coco(content, source=str(path))


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
    by_last_part = defaultdict(list)
    for index, name in enumerate(named.file_names):
        by_last_part[PurePosixPath(name).name].append(index)
    photos = np.full(named.num_photos, -1, dtype=np.int32)
    missing = []
    for index, name in enumerate(truth.file_names):
        found = [
            other
            for other in by_last_part[PurePosixPath(name).name]
            if _is_same_photo(name, named.file_names[other])
        ]
        exact = [other for other in found if named.file_names[other] == name]
        found = exact or found
        if not found:
            missing.append(name)
        elif len(found) > 1 or photos[found[0]] >= 0:
            raise _ambiguous(name, path)
        else:
            photos[found[0]] = index
            _check_size(name, named.image_hw[found[0]], truth.image_hw[index], path)
    if missing:
        raise _not_predicted(missing, truth, path)
    if (photos < 0).any():
        logger.info(
            "%d of the %d predicted photos are not in the ground truth and are left out",
            int((photos < 0).sum()),
            named.num_photos,
        )
    return photos


def _is_same_photo(name: str, other: str) -> bool:
    short, long = sorted((PurePosixPath(name).parts, PurePosixPath(other).parts), key=len)
    return long[len(long) - len(short) :] == short


def _check_size(name: str, predicted_hw: np.ndarray, true_hw: np.ndarray, path: Path) -> None:
    if tuple(predicted_hw) != tuple(true_hw):
        raise UserError(
            "Boxes are compared in pixels, so photos must have been predicted in the size of the "
            f"ground truth. Received {name} of {_size(true_hw)} in the ground truth and "
            f"{_size(predicted_hw)} in {path}; predict the photos that were annotated."
        )


def _size(image_hw: np.ndarray) -> str:
    return f"{image_hw[1]} x {image_hw[0]}"


def _classes_by_name(named: GroundTruth, truth: GroundTruth, path: Path) -> np.ndarray:
    """Return the index in the ground truth of each predicted class."""
    if set(named.class_names) == set(truth.class_names):
        places = {name: index for index, name in enumerate(truth.class_names)}
        return np.array([places[name] for name in named.class_names], dtype=np.int32)
    if named.num_classes == truth.num_classes == 1:
        logger.info(
            "The predicted class %r is taken for %r, the only one in the ground truth",
            named.class_names[0],
            truth.class_names[0],
        )
        return np.zeros(1, dtype=np.int32)
    raise UserError(
        "Classes are matched by name, so predictions and ground truth must have the same ones. "
        f"Received {', '.join(truth.class_names)} in the ground truth and "
        f"{', '.join(named.class_names)} in {path}; rename the classes in one of the two."
    )


def _ambiguous(name: str, path: Path) -> UserError:
    return UserError(
        "Photos are matched by name, the end of a path being enough, so a name must fit one photo "
        f"only. Received {name} in the ground truth, which fits several photos, or a photo that "
        f"fits another name too, in {path}; predict the photos from their common parent folder, "
        "or use predictions with the ids of the ground truth."
    )


def _not_predicted(missing: Sequence[str], truth: GroundTruth, path: Path) -> UserError:
    shown = ", ".join(missing[:MOST_NAMES_SHOWN]) + (", ..." if len(missing) > 3 else "")
    return UserError(
        "Every photo of the ground truth must have been predicted, since one without detections "
        "counts as one where nothing was found. Received "
        f"{path}, in which {len(missing)} of {truth.num_photos} photos are missing ({shown}); "
        "predict these too, or move the file away if the ids in the predictions are those of the "
        "ground truth."
    )
