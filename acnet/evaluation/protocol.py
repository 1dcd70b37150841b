"""The whole evaluation of saved detections: one match, and every number from it."""

from acnet.errors import UserError
from acnet.evaluation.average_precision import average_precision
from acnet.evaluation.bootstrap import Replicates, bootstrap, percentile_interval
from acnet.evaluation.calibration import calibration
from acnet.evaluation.columns import Detections, GroundTruth
from acnet.evaluation.count_model import CountModel
from acnet.evaluation.counting import bland_altman, count_errors
from acnet.evaluation.error_analysis import error_parts
from acnet.evaluation.froc import froc
from acnet.evaluation.grading import grade_counts
from acnet.evaluation.headline import FROC_RULES, Headline, Number
from acnet.evaluation.matches import Matches
from acnet.evaluation.matching import DEFAULT_CAPS, match
from acnet.evaluation.photo_rows import operating_threshold, photo_rows
from acnet.evaluation.result import Counts, EvaluationOptions, EvaluationResult, Metric
from acnet.evaluation.shares import conformal_share_range, share


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


def match_once(
    ground_truth: GroundTruth, detections: Detections, options: EvaluationOptions
) -> Matches:
    """Match at the usual caps up to the user's one, which is the largest.

    Args:
        ground_truth: Of all photos.
        detections: Of the same photos.
        options: For the cap.

    Returns:
        The match.

    Raises:
        UserError: There is no photo, or one holds more lesions than the cap on detections.
    """
    if not ground_truth.num_photos:
        raise UserError(
            "Numbers are means over photos, so at least one is needed. Received a ground truth "
            "without any; give a COCO file whose `images` are not empty."
        )
    caps = sorted({cap for cap in DEFAULT_CAPS if cap < options.max_detections})
    return match(ground_truth, detections, max_detections=(*caps, options.max_detections))


def resample(headline: Headline, matches: Matches, options: EvaluationOptions) -> Replicates:
    """Compute the headline numbers on all photos and on resampled ones.

    Args:
        headline: Of the match.
        matches: For the number of photos.
        options: Of the bootstrap.

    Returns:
        The numbers, in the order of `headline.numbers`.
    """
    return bootstrap(
        headline,
        headline.keys,
        matches.ground_truth.num_photos,
        replicates=options.replicates,
        seed=options.seed,
        progress=options.progress,
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
