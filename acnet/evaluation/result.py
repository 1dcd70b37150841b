"""What an evaluation found: every number once, for the table, the report and the JSON file.

Shape shorthand in this module:
    P: number of photos
    D: number of detections
    G: number of Hayashi grades, 4
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import acnet
from acnet.evaluation.calibration import Calibration
from acnet.evaluation.columns import Detections, GroundTruth
from acnet.evaluation.count_fit import Share
from acnet.evaluation.count_model import CountModel
from acnet.evaluation.counting import BlandAltman, Grading
from acnet.evaluation.froc_curve import Froc
from acnet.evaluation.matching import Matches

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What the user may choose about an evaluation.

    Args:
        max_detections: Best detections of a photo and class that count; the cap in the keys.
        replicates: Of the bootstrap; 0 for no intervals.
        seed: Of the bootstrap.
        level: Of the intervals, above 0 and below 1.
        bins: Of the calibration.
        progress: Show a bar on stderr while the bootstrap runs.
    """

    max_detections: int = 1000
    replicates: int = 1000
    seed: int = 0
    level: float = 0.95
    bins: int = 10
    progress: bool = False


@dataclass(frozen=True)
class Number:
    """What a headline number is, without its value.

    Args:
        key: Its name, with the cap where there is one: "AP50@1000", "MAE", "quadratic kappa".
        group: "detection", "FROC", "counts", "grades" or "calibration".
        unit: "%", "lesions" or "".
        better: "higher", "lower" or "zero" (a bias).
    """

    key: str
    group: str
    unit: str
    better: str


@dataclass(frozen=True, kw_only=True)
class Metric(Number):
    """A number on all photos, with its bootstrap interval; None where one is undefined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Difference(Number):
    """One number of models A and B on all photos, and b - a with its interval.

    `p` is the two-sided bootstrap p value of "no difference", of this number alone: where many are
    looked at, some are small by chance. What is undefined is None.
    """

    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Lesions counted in each photo, against the ground truth.

    Args:
        true: (P,) lesions in the ground truth, crowds left out; all classes together.
        predicted: (P,) detections at or above the count model's threshold.
        low: (P,) lower end of the photo's conformal interval, in lesions.
        high: (P,) its upper end.
        errors: "MAE", "RMSE" and "bias" of `count_errors`, in lesions.
        agreement: Bland and Altman's limits and points.
        coverage: Photos whose true count lies in their interval; the target is
            `count_model.coverage`.
        expected_coverage: Lowest and highest share to be expected of these photos by chance, where
            they are like the validation photos.
    """

    true: np.ndarray
    predicted: np.ndarray
    low: np.ndarray
    high: np.ndarray
    errors: dict[str, float]
    agreement: BlandAltman
    coverage: Share
    expected_coverage: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class PhotoRow:
    """One photo at the operating threshold, matched at IoU 0.5.

    Args:
        index: Of the photo in the ground truth's columns.
        file_name: Its name in the ground truth.
        lesions: True count, crowds left out.
        counted: Detections at or above the threshold.
        counted_low: Lower end of the count's conformal interval; None without a count model.
        counted_high: Upper end.
        matched: Lesions that a detection matches.
        false: Detections that match none; those on crowds are left out.
        missed: Lesions without a detection.
        f1: 2 matched / (2 matched + false + missed), 1 where there is nothing to find and nothing
            found. The worst photos are those with the lowest, then those with the most errors.
    """

    index: int
    file_name: str
    lesions: int
    counted: int
    counted_low: int | None
    counted_high: int | None
    matched: int
    false: int
    missed: int
    f1: float


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """Every number of one evaluation, and the columns they come from.

    Args:
        ground_truth: What is true.
        detections: What was detected.
        matches: Their one matching.
        options: What the user chose.
        metrics: Headline numbers with intervals, in the order of the table.
        detection: Everything that `average_precision` returns, in percent.
        froc: The curves of the hit rules "iou" and "centre"; None without a lesion.
        error_parts: AP50 that a perfect correction of each kind of error would add.
        calibration: Of the scores.
        count_model: Where one was given.
        counts: None without a count model.
        grading: None without a count model.
        operating_threshold: Score from which on a detection counts in `photos`: that of the count
            model, or else the one at 1 false positive a photo by IoU, or else the lowest.
        threshold_source: "count model", "1 false positive a photo" or "all detections".
        photos: (P) rows, in the order of the ground truth.
    """

    ground_truth: GroundTruth
    detections: Detections
    matches: Matches
    options: EvaluationOptions
    metrics: tuple[Metric, ...]
    detection: dict[str, float]
    froc: dict[str, Froc | None]
    error_parts: dict[str, float]
    calibration: Calibration
    count_model: CountModel | None
    counts: Counts | None
    grading: Grading | None
    operating_threshold: float
    threshold_source: str
    photos: tuple[PhotoRow, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON types; what is undefined is null, never NaN.

        Curves are left out, since they are as long as the list of detections.
        """
        return {
            "schema_version": SCHEMA_VERSION,
            "acnet_version": acnet.__version__,
            "data": {
                "photos": self.ground_truth.num_photos,
                "lesions": int(self.ground_truth.counts().sum()),
                "detections": len(self.detections),
                "photos_without_detections": self.photos_without_detections,
                "classes": list(self.ground_truth.class_names),
            },
            "options": _plain(self.options, leave_out=("progress",)),
            "metrics": _plain(self.metrics),
            "detection": _plain(self.detection),
            "froc": {rule: _froc_points(curve) for rule, curve in self.froc.items()},
            "error_parts": _plain(self.error_parts),
            "calibration": _plain(self.calibration),
            "count_model": _plain(self.count_model),
            "counts": _plain(self.counts, leave_out=("true", "predicted", "low", "high")),
            "grading": _plain(self.grading, leave_out=("true", "predicted")),
            "operating_threshold": {
                "score": self.operating_threshold,
                "source": self.threshold_source,
            },
            "photos": _plain(self.photos),
        }

    @property
    def photos_without_detections(self) -> int:
        """Photos in which nothing was detected, at any score."""
        return int((self.detections.counts(self.ground_truth.num_photos) == 0).sum())


def _froc_points(curve: Froc | None) -> dict[str, Any] | None:
    names = ("points", "at_points", "thresholds", "score")
    return curve and {name: _plain(getattr(curve, name)) for name in names}


def _plain(value: Any, leave_out: tuple[str, ...] = ()) -> Any:
    if dataclasses.is_dataclass(value):
        fields = [field.name for field in dataclasses.fields(value)]
        return {name: _plain(getattr(value, name)) for name in fields if name not in leave_out}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
