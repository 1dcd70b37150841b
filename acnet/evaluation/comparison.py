"""Model A against model B on the same photos, by a paired bootstrap."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from acnet.evaluation.bootstrap import percentile_interval, two_sided_p
from acnet.evaluation.columns import Detections, GroundTruth
from acnet.evaluation.count_model import CountModel
from acnet.evaluation.headline import Headline, Number
from acnet.evaluation.protocol import match_once, resample
from acnet.evaluation.result import SCHEMA_VERSION, EvaluationOptions


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
    numbers, resampled = (), []
    for detections, count_model in zip((detections_a, detections_b), models, strict=True):
        matches = match_once(ground_truth, detections, options)
        headline = Headline(matches, count_model=count_model, bins=options.bins)
        numbers = headline.numbers  # the same for both
        resampled.append(resample(headline, matches, options))  # by the same seed: paired
    a, b = resampled
    spread = b.replicates - a.replicates
    return tuple(
        _difference(number, a.values[index], b.values[index], spread[:, index], options.level)
        for index, number in enumerate(numbers)
    )


def comparison_json(
    rows: Sequence[Difference], ground_truth: GroundTruth, options: EvaluationOptions
) -> dict[str, Any]:
    """Return a comparison as plain JSON types; what is undefined is null.

    Args:
        rows: Of `compare`.
        ground_truth: That it was called with.
        options: That it was called with.

    Returns:
        The rows, and what they were computed from.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "photos": ground_truth.num_photos,
        "max_detections": options.max_detections,
        "replicates": options.replicates,
        "seed": options.seed,
        "level": options.level,
        "differences": [dataclasses.asdict(row) for row in rows],
    }


def _difference(
    number: Number, a: float, b: float, replicates: np.ndarray, level: float
) -> Difference:
    """Compare one number, where NaN stands for undefined, with (R,) differences resampled."""
    defined = not np.isnan(b - a)
    low, high = (defined and percentile_interval(replicates, level)) or (None, None)
    return Difference(
        key=number.key,
        group=number.group,
        unit=number.unit,
        better=number.better,
        a=None if np.isnan(a) else float(a),
        b=None if np.isnan(b) else float(b),
        difference=float(b - a) if defined else None,
        low=low,
        high=high,
        p=two_sided_p(replicates) if defined else None,
    )
