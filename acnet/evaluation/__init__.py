"""Evaluation of detections: columns, one match, and the numbers that are computed from it.

`coco_files` and `evaluator` make columns, `matching` matches them once, and `average_precision`,
`froc` and `error_parts` turn that match into numbers. `protocol` runs all of it on saved files,
and `count_model`, `counting`, `calibration` and `bootstrap` add counts, grades and intervals.
detectron2's evaluators stand beside it, and are imported only when they are asked for: saved files
are evaluated without detectron2.
"""

import importlib
from typing import Any

from acnet.evaluation.average_precision import (
    PrecisionCurves,
    PrecisionRecall,
    average_precision,
    precision_recall,
)
from acnet.evaluation.coco_files import ground_truth_from_coco, read_ground_truth
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
from acnet.evaluation.count_fit import fit_count_model
from acnet.evaluation.count_model import CountModel, read_count_model, write_count_model
from acnet.evaluation.counting import count_by_image, count_errors
from acnet.evaluation.error_analysis import error_parts
from acnet.evaluation.froc import FALSE_POSITIVES_PER_PHOTO, Froc, FrocCurve, froc
from acnet.evaluation.matching import (
    COCO_IOUS,
    DEFAULT_CAPS,
    DEFAULT_RANGES,
    Matches,
    match,
)
from acnet.evaluation.protocol import compare, evaluate
from acnet.evaluation.result import Difference, EvaluationOptions, EvaluationResult
from acnet.evaluation.result_rows import detections_from_rows, read_predictions
from acnet.evaluation.saved_predictions import read_saved_predictions

__all__ = [
    "COCO_IOUS",
    "COCO_RANGES",
    "DEFAULT_CAPS",
    "DEFAULT_RANGES",
    "FALSE_POSITIVES_PER_PHOTO",
    "CountModel",
    "Detections",
    "Difference",
    "EvaluationOptions",
    "EvaluationResult",
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
    "compare",
    "count_by_image",
    "count_errors",
    "detections_from_rows",
    "error_parts",
    "evaluate",
    "fit_count_model",
    "froc",
    "ground_truth_from_coco",
    "lesion_ranges",
    "match",
    "precision_recall",
    "read_count_model",
    "read_ground_truth",
    "read_predictions",
    "read_saved_predictions",
    "sort_detections",
    "write_count_model",
    "xywh_to_xyxy",
    "xyxy_to_xywh",
]

_MODULE_OF = {
    "LesionEvaluator": "acnet.evaluation.evaluator",
    "build_evaluator": "acnet.evaluation.evaluator",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)
