"""The numbers that get an interval, as one function of how often each photo counts.

What can be sorted, binned or graded once is, so that a bootstrap replicate costs sums only.

Shape shorthand in this module:
    P: number of photos
"""

from dataclasses import dataclass

import numpy as np

from acnet.errors import UserError
from acnet.evaluation.average_precision import PrecisionCurves
from acnet.evaluation.calibration import ScoreBins, score_bins
from acnet.evaluation.columns import Detections, GroundTruth
from acnet.evaluation.count_model import CountModel
from acnet.evaluation.counting import confusion_table, count_errors, grade_measures, grades_of
from acnet.evaluation.froc import FALSE_POSITIVES_PER_PHOTO, Froc, FrocCurve
from acnet.evaluation.matches import Matches
from acnet.evaluation.matching import DEFAULT_CAPS, match
from acnet.evaluation.result import EvaluationOptions

FROC_RULES = {"iou": "IoU 0.5", "centre": "centre"}
GRADE_PERCENTAGES = ("accuracy", "precision", "sensitivity", "specificity", "Youden")
PERCENT = 100.0


@dataclass(frozen=True)
class Number:
    """What a headline number is, without its value.

    Args:
        key: Its name.
        group: "detection", "FROC", "counts", "grades" or "calibration".
        unit: "%", "lesions" or "".
        better: "higher", "lower" or "zero" (a bias).
    """

    key: str
    group: str
    unit: str
    better: str


class Headline:
    """The headline numbers of one model, for any weights of the photos.

    Args:
        matches: Of all photos.
        count_model: For counts and grades; None leaves both out.
        bins: Of the calibration.

    Attributes:
        numbers: What is computed, in the order of the table.
    """

    def __init__(self, matches: Matches, *, count_model: CountModel | None, bins: int):
        cap = matches.caps[-1]
        self._precision = PrecisionCurves(matches, suffixes=("",), caps=(cap,))
        self._froc = {name: FrocCurve(matches, rule=rule) for rule, name in FROC_RULES.items()}
        self._bins: dict[str, ScoreBins] = score_bins(matches, bins=bins)
        self._true = matches.ground_truth.counts()
        self._predicted = None
        self.numbers = (*_detection_numbers(cap), *_froc_numbers())
        if count_model is not None:
            num_photos = matches.ground_truth.num_photos
            self._predicted = count_model.count(matches.detections, num_photos)
            self._true_grades = grades_of(self._true)
            self._predicted_grades = grades_of(self._predicted)
            self.numbers += _count_numbers()
        self.numbers += tuple(Number(key, "calibration", "%", "lower") for key in self._bins)

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the numbers, in order."""
        return tuple(number.key for number in self.numbers)

    def __call__(self, photo_weights: np.ndarray) -> dict[str, float | None]:
        """Compute the numbers.

        Args:
            photo_weights: (P,) int64, how often each photo counts.

        Returns:
            Values by key, and others besides; what is undefined is None or missing.
        """
        values: dict[str, float | None] = dict(self._precision.average_precision(photo_weights))
        for name, curve in self._froc.items():
            values |= _froc_values(name, curve.froc(photo_weights))
        if self._predicted is not None:
            values |= count_errors(self._predicted, self._true, photo_weights=photo_weights)
            confusion = confusion_table(self._true_grades, self._predicted_grades, photo_weights)
            values |= grade_measures(confusion)
        for key, bins in self._bins.items():
            values[key] = bins.ece(photo_weights)
        return values


def _froc_values(name: str, curve: Froc | None) -> dict[str, float]:
    if curve is None:
        return {}
    percents = [PERCENT * value for value in (*curve.at_points, curve.score)]
    return dict(zip(_froc_keys(name), percents, strict=True))


def _detection_numbers(cap: int) -> tuple[Number, ...]:
    keys = (f"AP@{cap}", f"AP50@{cap}", f"AP75@{cap}", f"AR@{cap}", "AP50-VOC07", "AP50-area")
    return tuple(Number(key, "detection", "%", "higher") for key in keys)


def _froc_numbers() -> tuple[Number, ...]:
    keys = [key for name in FROC_RULES.values() for key in _froc_keys(name)]
    return tuple(Number(key, "FROC", "%", "higher") for key in keys)


def _froc_keys(name: str) -> list[str]:
    """Return the keys of one hit rule: sensitivity at each point, then their mean."""
    points = [f"sensitivity@{rate_name(rate)} ({name})" for rate in FALSE_POSITIVES_PER_PHOTO]
    return [*points, f"FROC ({name})"]


def rate_name(rate: float) -> str:
    """Return false positives a photo as they are written: 1/8 for 0.125, 2 for 2.0."""
    return f"{rate:g}" if rate >= 1 else f"1/{1 / rate:g}"


def _count_numbers() -> tuple[Number, ...]:
    return (
        Number("MAE", "counts", "lesions", "lower"),
        Number("RMSE", "counts", "lesions", "lower"),
        Number("bias", "counts", "lesions", "zero"),
        *(Number(key, "grades", "%", "higher") for key in GRADE_PERCENTAGES),
        Number("quadratic kappa", "grades", "", "higher"),
    )


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
    caps = sorted({cap for cap in DEFAULT_CAPS if cap < options.max_detections})
    return match(ground_truth, detections, max_detections=(*caps, options.max_detections))
