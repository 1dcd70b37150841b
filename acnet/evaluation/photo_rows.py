"""What was matched, false and missed in each photo, to find the best and the worst."""

import numpy as np

from acnet.evaluation.count_model import CountModel
from acnet.evaluation.froc import Froc
from acnet.evaluation.matches import Matches
from acnet.evaluation.result import PhotoRow

ROWS_IOU = 0.5
ROWS_FALSE_POSITIVES = 1.0  # a photo, where no count model gives a threshold


def operating_threshold(
    matches: Matches, count_model: CountModel | None, froc_by_iou: Froc | None
) -> tuple[float, str]:
    """Choose the score from which on a detection counts in the rows.

    Args:
        matches: Of all photos.
        count_model: Its threshold is taken where there is one.
        froc_by_iou: Its threshold at 1 false positive a photo is taken otherwise; None without a
            lesion.

    Returns:
        The threshold and its source; without either, the lowest score and "all detections".
    """
    if count_model is not None:
        return count_model.threshold, "count model"
    if froc_by_iou is not None:
        threshold = froc_by_iou.thresholds[froc_by_iou.points.index(ROWS_FALSE_POSITIVES)]
        if threshold is not None:
            return float(threshold), "1 false positive a photo"
    return float(matches.detections.scores.min(initial=1.0)), "all detections"


def photo_rows(
    matches: Matches, threshold: float, count_model: CountModel | None
) -> tuple[PhotoRow, ...]:
    """Count what became of the lesions and detections of each photo.

    The match goes down the scores, so its part at or above the threshold is the match of those
    detections alone.

    Args:
        matches: Of all photos, with IoU 0.5 among its thresholds.
        threshold: Lower scores do not count.
        count_model: For the intervals of the counts; None for none.

    Returns:
        (P) rows, in the order of the ground truth.
    """
    truth, detections = matches.ground_truth, matches.detections
    num_photos = truth.num_photos
    counts = (detections.scores >= threshold) & ~matches.ignored(iou=ROWS_IOU)
    hit = matches.matched(iou=ROWS_IOU)
    matched = np.bincount(detections.photo[counts & hit], minlength=num_photos)
    false = np.bincount(detections.photo[counts & ~hit], minlength=num_photos)
    missed = matches.num_gt[:, :, 0].sum(axis=1) - matched
    counted = detections.counts(num_photos, score_threshold=threshold)
    low, high = count_model.interval(counted) if count_model else (None, None)
    total = 2 * matched + false + missed
    f1 = np.divide(2 * matched, total, out=np.ones(num_photos), where=total > 0)
    return tuple(
        PhotoRow(
            index=index,
            file_name=truth.file_names[index],
            lesions=int(lesions),
            counted=int(counted[index]),
            counted_low=None if low is None else int(low[index]),
            counted_high=None if high is None else int(high[index]),
            matched=int(matched[index]),
            false=int(false[index]),
            missed=int(missed[index]),
            f1=float(f1[index]),
        )
        for index, lesions in enumerate(truth.counts())
    )
