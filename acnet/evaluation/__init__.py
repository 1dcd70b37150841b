"""Evaluation of detections: columns, one match, and the numbers that are computed from it.

`coco_files` and `evaluator` make columns, `matching` matches them once, and `average_precision`,
`froc` and `error_parts` turn that match into numbers. detectron2's evaluators stand beside it.
What builds on detectron2 is imported when it is asked for: without it, evaluating files starts in a
tenth of the time.
"""

import importlib
from typing import Any

from acnet.evaluation.average_precision import (
    PrecisionCurves,
    PrecisionRecall,
    average_precision,
    precision_recall,
)
from acnet.evaluation.coco_files import (
    detections_from_rows,
    ground_truth_from_coco,
    read_ground_truth,
    read_predictions,
)
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
    "LesionEvaluator",
    "Matches",
    "PrecisionCurves",
    "PrecisionRecall",
    "SizeRange",
    "average_precision",
    "build_evaluator",
    "count_by_image",
    "count_errors",
    "detections_from_rows",
    "error_parts",
    "froc",
    "ground_truth_from_coco",
    "lesion_ranges",
    "match",
    "precision_recall",
    "read_ground_truth",
    "read_predictions",
    "sort_detections",
    "xywh_to_xyxy",
    "xyxy_to_xywh",
]

_MODULE_OF = {
    "CappedCOCOEvaluator": "acnet.evaluation.detection",
    "LesionEvaluator": "acnet.evaluation.evaluator",
    "build_evaluator": "acnet.evaluation.detection",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)
