"""Evaluation of detections: columns, one match, and the numbers that are computed from it.

`coco_files` and `evaluator` make columns, `matching` matches them once, and `average_precision`,
`froc` and `error_parts` turn that match into numbers. detectron2's evaluators stand beside it.
"""

from acnet.evaluation.average_precision import (
    PrecisionCurves,
    PrecisionRecall,
    average_precision,
    precision_recall,
)
from acnet.evaluation.coco_files import read_ground_truth, read_predictions
from acnet.evaluation.columns import (
    COCO_RANGES,
    Detections,
    GroundTruth,
    SizeRange,
    lesion_ranges,
    sort_detections,
    xywh_to_xyxy,
    xyxy_to_xywh,
)
from acnet.evaluation.counting import count_by_image, count_errors
from acnet.evaluation.detection import CappedCOCOEvaluator, build_evaluator
from acnet.evaluation.error_parts import error_parts
from acnet.evaluation.froc import FALSE_POSITIVES_PER_PHOTO, Froc, FrocCurve, froc
from acnet.evaluation.matches import Matches
from acnet.evaluation.matching import COCO_IOUS, DEFAULT_CAPS, DEFAULT_RANGES, match

__all__ = [
    "COCO_IOUS",
    "COCO_RANGES",
    "DEFAULT_CAPS",
    "DEFAULT_RANGES",
    "FALSE_POSITIVES_PER_PHOTO",
    "CappedCOCOEvaluator",
    "Detections",
    "Froc",
    "FrocCurve",
    "GroundTruth",
    "Matches",
    "PrecisionCurves",
    "PrecisionRecall",
    "SizeRange",
    "average_precision",
    "build_evaluator",
    "count_by_image",
    "count_errors",
    "error_parts",
    "froc",
    "lesion_ranges",
    "match",
    "precision_recall",
    "read_ground_truth",
    "read_predictions",
    "sort_detections",
    "xywh_to_xyxy",
    "xyxy_to_xywh",
]
