"""What an evaluation found: every number once, for the table, the report and the JSON file.

Shape shorthand: P photos.
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
# By which files of an evaluation and of a comparison are known again.
JSON_MARKS = (',\n  "acnet_version": "', ',\n  "differences": [\n    {\n      "key": "')


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What the user may choose about an evaluation."""

    max_detections: int = 1000  # best ones of a photo and class that count; the cap in the keys
    replicates: int = 1000  # of the bootstrap; 0 for no intervals
    seed: int = 0  # of the bootstrap
    level: float = 0.95  # of the intervals, above 0 and below 1
    bins: int = 10  # of the calibration
    progress: bool = False  # show a bar on stderr while the bootstrap runs


@dataclass(frozen=True)
class Number:
    """What a headline number is, without its value."""

    key: str  # with the cap where there is one: "AP50@1000", "MAE", "quadratic kappa"
    group: str  # "detection", "FROC", "counts", "grades" or "calibration"
    unit: str  # "%", "lesions" or ""
    better: str  # "higher", "lower" or "zero" (a bias)


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
    """Lesions counted in each photo, all classes together, against the ground truth."""

    true: np.ndarray  # (P,) crowds left out
    predicted: np.ndarray  # (P,) detections at or above the count model's threshold
    low: np.ndarray  # (P,) ends of the photo's conformal interval
    high: np.ndarray
    errors: dict[str, float]  # of `count_errors`
    agreement: BlandAltman
    coverage: Share  # photos with their true count in the interval; the model's is the target
    # Lowest and highest share to be expected by chance, of photos like the validation photos.
    expected_coverage: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class PhotoRow:
    """One photo at the operating threshold, matched at IoU 0.5; crowds are left out.

    F1 is 2 matched / (2 matched + false + missed), 1 where there is nothing to find and nothing
    found. The worst photos are those with the lowest, then those with the most errors.
    """

    index: int  # in the ground truth's columns
    file_name: str
    lesions: int
    counted: int  # detections at or above the threshold
    counted_low: int | None  # ends of the count's conformal interval, of a count model
    counted_high: int | None
    matched: int  # lesions that a detection matches
    false: int  # detections that match none
    missed: int  # lesions without a detection
    f1: float


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """Every number of one evaluation, and the columns they come from.

    The operating threshold is the score from which on a detection counts in `photos`: that of the
    count model, or else the one at 1 false positive a photo by IoU, or else the lowest.
    """

    ground_truth: GroundTruth
    detections: Detections
    matches: Matches
    options: EvaluationOptions
    metrics: tuple[Metric, ...]  # headline numbers with intervals, in the order of the table
    detection: dict[str, float]  # everything that `average_precision` returns, in percent
    froc: dict[str, Froc | None]  # of the hit rules "iou" and "centre"; None without a lesion
    error_parts: dict[str, float]  # AP50 that correcting each kind of error would add
    calibration: Calibration
    count_model: CountModel | None
    counts: Counts | None  # with a count model, as the grading
    grading: Grading | None
    operating_threshold: float
    threshold_source: str  # "count model", "1 false positive a photo" or "all detections"
    photos: tuple[PhotoRow, ...]  # P, in the order of the ground truth

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
