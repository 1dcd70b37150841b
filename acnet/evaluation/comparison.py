"""Model A against model B on the same photos, by a paired bootstrap."""

from dataclasses import dataclass

import numpy as np

from acnet.evaluation.bootstrap import percentile_interval, two_sided_p
from acnet.evaluation.columns import Detections, GroundTruth
from acnet.evaluation.count_model import CountModel
from acnet.evaluation.evaluation import match_once, resample
from acnet.evaluation.headline import Headline
from acnet.evaluation.result import EvaluationOptions


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One number of two models; None where it is undefined.

    Args:
        key: Its name.
        group: "detection", "FROC", "counts", "grades" or "calibration".
        unit: "%", "lesions" or "".
        better: "higher", "lower" or "zero" (a bias).
        a: Of model A on all photos.
        b: Of model B.
        difference: b - a.
        low: Lower end of its interval.
        high: Upper end.
        p: Two-sided bootstrap p value of "no difference", of this number alone: where many are
            looked at, some are small by chance.
    """

    key: str
    group: str
    unit: str
    better: str
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None


def compare(
    ground_truth: GroundTruth,
    detections_a: Detections,
    detections_b: Detections,
    *,
    count_models: tuple[CountModel, CountModel] | None = None,
    options: EvaluationOptions | None = None,
) -> tuple[Difference, ...]:
    """Compare two models by their headline numbers.

    Each replicate draws photos once and computes both models on them, so what is hard or easy about
    a photo cancels, and far smaller differences show than two separate intervals could tell apart.

    Args:
        ground_truth: Of all photos.
        detections_a: Of model A.
        detections_b: Of model B, on the same photos.
        count_models: Of A and of B, each fitted to its own model; None leaves counts and grades
            out.
        options: By default those of `EvaluationOptions`.

    Returns:
        One difference a headline number, in the order of the table.

    Raises:
        UserError: There is no photo, or one holds more lesions than the cap on detections.
    """
    options = options or EvaluationOptions()
    models = count_models or (None, None)
    headlines, resampled = [], []
    for detections, count_model in zip((detections_a, detections_b), models, strict=True):
        matches = match_once(ground_truth, detections, options)
        headlines.append(Headline(matches, count_model=count_model, bins=options.bins))
        resampled.append(resample(headlines[-1], matches, options))  # the same seed: paired
    a, b = resampled
    spread = b.replicates - a.replicates
    rows = []
    for index, number in enumerate(headlines[0].numbers):
        difference = _number(b.values[index] - a.values[index])
        column = spread[:, index]
        interval = percentile_interval(column, options.level)
        low, high = (difference is not None and interval) or (None, None)
        rows.append(
            Difference(
                key=number.key,
                group=number.group,
                unit=number.unit,
                better=number.better,
                a=_number(a.values[index]),
                b=_number(b.values[index]),
                difference=difference,
                low=low,
                high=high,
                p=None if difference is None else two_sided_p(column),
            )
        )
    return tuple(rows)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
