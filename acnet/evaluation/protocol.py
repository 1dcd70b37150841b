"""The whole evaluation of saved detections: one match, and every number computed from it.

The headline numbers, which get an interval, are one function of how often each photo counts: what
can be sorted, binned or graded once is, so that a bootstrap replicate costs sums only. Two models
are compared by them.

Shape shorthand: P photos.
"""

from collections.abc import Iterable

import numpy as np

from acnet.errors import UserError
from acnet.evaluation.bootstrap import Replicates, bootstrap, percentile_interval, two_sided_p
from acnet.evaluation.calibration import calibration, score_bins
from acnet.evaluation.columns import Detections, GroundTruth
from acnet.evaluation.count_fit import conformal_share_range, share
from acnet.evaluation.count_model import CountModel
from acnet.evaluation.counting import (
    bland_altman,
    confusion_table,
    count_errors,
    grade_counts,
    grade_measures,
    grades_of,
)
from acnet.evaluation.error_analysis import error_parts
from acnet.evaluation.froc_curve import FALSE_POSITIVES_PER_PHOTO, Froc, FrocCurve, froc
from acnet.evaluation.matching import DEFAULT_CAPS, Matches, match
from acnet.evaluation.precision_curves import PrecisionCurves, average_precision
from acnet.evaluation.result import (
    Counts,
    Difference,
    EvaluationOptions,
    EvaluationResult,
    Metric,
    Number,
    PhotoRow,
)

FROC_RULES = {"iou": "IoU 0.5", "centre": "centre"}
GRADE_PERCENTAGES = ("accuracy", "precision", "sensitivity", "specificity", "Youden")
PERCENT = 100.0


class Headline:
    """The headline numbers of one model, for any weights of the photos.

    `numbers` says what is computed, in the order of the table; without a count model, neither
    counts nor grades.
    """

    def __init__(self, matches: Matches, *, count_model: CountModel | None, bins: int):
        cap = matches.caps[-1]
        self._precision = PrecisionCurves(matches, suffixes=("",), caps=(cap,))
        self._froc = {name: FrocCurve(matches, rule=rule) for rule, name in FROC_RULES.items()}
        self._bins = score_bins(matches, bins=bins)
        self._true = matches.ground_truth.counts()
        self._predicted = None
        found = ("AP@{}", "AP50@{}", "AP75@{}", "AR@{}", "AP50-VOC07", "AP50-area")
        self.numbers = _numbers("detection", [key.format(cap) for key in found])
        for name in FROC_RULES.values():
            self.numbers += _numbers("FROC", _froc_keys(name))
        if count_model is not None:
            self._predicted = count_model.count(matches.detections, len(self._true))
            self._true_grades = grades_of(self._true)
            self._predicted_grades = grades_of(self._predicted)
            self.numbers += _numbers("counts", ["MAE", "RMSE"], unit="lesions", better="lower")
            self.numbers += _numbers("counts", ["bias"], unit="lesions", better="zero")
            self.numbers += _numbers("grades", GRADE_PERCENTAGES)
            self.numbers += _numbers("grades", ["quadratic kappa"], unit="")
        self.numbers += _numbers("calibration", self._bins, better="lower")

    def __call__(self, photo_weights: np.ndarray) -> dict[str, float | None]:
        """Compute the numbers, and others besides, for (P,) int64 weights.

        What is undefined is None or missing.
        """
        values: dict[str, float | None] = dict(self._precision.average_precision(photo_weights))
        for name, curve in self._froc.items():
            froc_curve = curve.froc(photo_weights)
            if froc_curve is not None:
                shares = (*froc_curve.at_points, froc_curve.score)
                values |= zip(_froc_keys(name), (PERCENT * one for one in shares), strict=True)
        if self._predicted is not None:
            values |= count_errors(self._predicted, self._true, photo_weights=photo_weights)
            confusion = confusion_table(self._true_grades, self._predicted_grades, photo_weights)
            values |= grade_measures(confusion)
        for key, bins in self._bins.items():
            values[key] = bins.ece(photo_weights)
        return values

    def resample(self, options: EvaluationOptions) -> Replicates:
        """Compute the numbers, in their order, on all photos and on resampled ones."""
        return bootstrap(
            self,
            [number.key for number in self.numbers],
            len(self._true),
            replicates=options.replicates,
            seed=options.seed,
            progress=options.progress,
        )


def _numbers(
    group: str, keys: Iterable[str], *, unit: str = "%", better: str = "higher"
) -> tuple[Number, ...]:
    return tuple(Number(key, group, unit, better) for key in keys)


def _froc_keys(name: str) -> list[str]:
    """Return the keys of one hit rule: sensitivity at each point, then their mean."""
    points = [f"sensitivity@{rate_name(rate)} ({name})" for rate in FALSE_POSITIVES_PER_PHOTO]
    return [*points, f"FROC ({name})"]


def rate_name(rate: float) -> str:
    """Return false positives a photo as they are written: 1/8 for 0.125, 2 for 2.0."""
    return f"{rate:g}" if rate >= 1 else f"1/{1 / rate:g}"


def match_once(
    ground_truth: GroundTruth, detections: Detections, options: EvaluationOptions
) -> Matches:
    """Match at the usual caps up to the user's one, which is the largest.

    Raises:
        UserError: There is no photo, or one holds more lesions than the cap on detections.
    """
    if not ground_truth.num_photos:
        raise UserError(
            "Numbers are means over photos, so at least one is needed. Received a ground truth "
            "without any; give a COCO file whose `images` are not empty."
        )
    caps = [cap for cap in DEFAULT_CAPS if cap < options.max_detections]
    return match(ground_truth, detections, max_detections=(*caps, options.max_detections))


def evaluate(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    count_model: CountModel | None = None,
    options: EvaluationOptions | None = None,
) -> EvaluationResult:
    """Match detections of the same photos once and compute every number from it.

    Counts and grades need a count model, fitted on other photos.

    Raises:
        UserError: There is no photo, or one holds more lesions than the cap on detections.
    """
    options = options or EvaluationOptions()
    matches = match_once(ground_truth, detections, options)
    headline = Headline(matches, count_model=count_model, bins=options.bins)
    resampled = headline.resample(options)
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
        value = value if defined else None
        metrics.append(Metric(**vars(number), value=value, low=low, high=high))
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
    """Choose the score from which on a detection counts in the rows, and say whose it is.

    It is the count model's, or else that of FROC at 1 false positive a photo, or else the lowest.
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
    detections alone. Without a count model, counts have no intervals.
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


def compare(
    ground_truth: GroundTruth,
    detections_a: Detections,
    detections_b: Detections,
    *,
    count_models: tuple[CountModel, CountModel] | None = None,
    options: EvaluationOptions | None = None,
) -> tuple[Difference, ...]:
    """Compare two models by their headline numbers, in the order of the table.

    Each replicate draws photos once and computes both models on them, so what is hard or easy about
    a photo cancels, and far smaller differences show than two separate intervals could tell apart.
    Counts and grades need two count models, each fitted to its own model.

    Raises:
        UserError: There is no photo, or one holds more lesions than the cap on detections.
    """
    options = options or EvaluationOptions()
    models = count_models or (None, None)
    numbers, resampled = (), []
    for detections, count_model in zip((detections_a, detections_b), models, strict=True):
        matches = match_once(ground_truth, detections, options)
        headline = Headline(matches, count_model=count_model, bins=options.bins)
        numbers = headline.numbers  # the same for both
        resampled.append(headline.resample(options))  # by the same seed: paired
    a, b = resampled
    spread = b.replicates - a.replicates
    return tuple(
        _difference(number, a.values[index], b.values[index], spread[:, index], options.level)
        for index, number in enumerate(numbers)
    )


def _difference(
    number: Number, a: float, b: float, replicates: np.ndarray, level: float
) -> Difference:
    """Compare one number, where NaN stands for undefined, with (R,) differences resampled."""
    defined = not np.isnan(b - a)
    low, high = (defined and percentile_interval(replicates, level)) or (None, None)
    return Difference(
        **vars(number),
        a=None if np.isnan(a) else float(a),
        b=None if np.isnan(b) else float(b),
        difference=float(b - a) if defined else None,
        low=low,
        high=high,
        p=two_sided_p(replicates) if defined else None,
    )
