"""The whole evaluation of saved detections: one match, and every number computed from it."""

import numpy as np

from acnet.evaluation.average_precision import average_precision
from acnet.evaluation.bootstrap import Replicates, percentile_interval, resample
from acnet.evaluation.calibration import calibration
from acnet.evaluation.columns import Detections, GroundTruth
from acnet.evaluation.count_fit import conformal_share_range, share
from acnet.evaluation.count_model import CountModel
from acnet.evaluation.counting import bland_altman, count_errors, grade_counts
from acnet.evaluation.error_analysis import error_parts
from acnet.evaluation.froc import Froc, froc
from acnet.evaluation.headline import FROC_RULES, Headline, Number, match_once
from acnet.evaluation.matches import Matches
from acnet.evaluation.result import Counts, EvaluationOptions, EvaluationResult, Metric, PhotoRow


def evaluate(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    count_model: CountModel | None = None,
    options: EvaluationOptions | None = None,
) -> EvaluationResult:
    """Match detections once and compute every number from it.

    Args:
        ground_truth: Of all photos.
        detections: Of the same photos.
        count_model: For counts and grades, fitted on other photos; None leaves both out.
        options: By default those of `EvaluationOptions`.

    Returns:
        The numbers, their intervals and the columns that they come from.

    Raises:
        UserError: There is no photo, or one holds more lesions than the cap on detections.
    """
    options = options or EvaluationOptions()
    matches = match_once(ground_truth, detections, options)
    headline = Headline(matches, count_model=count_model, bins=options.bins)
    resampled = resample(headline, matches, options)
    curves = {rule: froc(matches, rule=rule) for rule in FROC_RULES}
    threshold, source = operating_threshold(matches, count_model, curves["iou"])
    counts = _counts(matches, count_model, options) if count_model else None
    return EvaluationResult(
        ground_truth=ground_truth,
        detections=detections,
        matches=matches,
        options=options,
        metrics=_metrics(headline.numbers, resampled, options.level),
        detection=average_precision(matches),
        froc=curves,
        error_parts=error_parts(matches),
        calibration=calibration(matches, bins=options.bins),
        count_model=count_model,
        counts=counts,
        grading=grade_counts(counts.true, counts.predicted) if counts else None,
        operating_threshold=threshold,
        threshold_source=source,
        photos=photo_rows(matches, threshold, count_model),
    )


def _metrics(
    numbers: tuple[Number, ...], resampled: Replicates, level: float
) -> tuple[Metric, ...]:
    metrics = []
    for number, value, column in zip(
        numbers, resampled.values.tolist(), resampled.replicates.T, strict=True
    ):
        defined = value == value  # not NaN
        low, high = (defined and percentile_interval(column, level)) or (None, None)
        metrics.append(
            Metric(
                key=number.key,
                group=number.group,
                value=value if defined else None,
                low=low,
                high=high,
                unit=number.unit,
                better=number.better,
            )
        )
    return tuple(metrics)


def _counts(matches: Matches, count_model: CountModel, options: EvaluationOptions) -> Counts:
    true = matches.ground_truth.counts()
    predicted = count_model.count(matches.detections, len(true))
    low, high = count_model.interval(predicted)
    inside = (low <= true) & (true <= high)
    return Counts(
        true=true,
        predicted=predicted,
        low=low,
        high=high,
        errors=count_errors(predicted, true),
        agreement=bland_altman(predicted, true),
        coverage=share(int(inside.sum()), len(true), level=options.level),
        expected_coverage=conformal_share_range(
            count_model.interval_photos, count_model.coverage, len(true), level=options.level
        ),
    )


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
