"""Evaluation of detections: columns, one match, and the numbers that are computed from it.

`coco_files` and `evaluator` make columns, `matching` matches them once, and `precision_curves`,
`froc_curve` and `error_analysis` turn that match into numbers. `protocol` runs all of it on saved
files, and `count_model`, `counting`, `calibration` and `bootstrap` add counts, grades and
intervals.

Names are imported when they are first used: a photo is counted without the code of evaluation, and
saved files are evaluated without detectron2. No module has the name of a function here, which its
import would hide.
"""

import importlib
from typing import Any

_NAMES_IN = {
    "coco_files": ("ground_truth_from_coco", "read_ground_truth"),
    "columns": (
        "COCO_RANGES",
        "Detections",
        "GroundTruth",
        "SizeRange",
        "lesion_ranges",
        "sort_detections",
        "xywh_to_xyxy",
        "xyxy_to_xywh",
    ),
    "count_fit": ("fit_count_model",),
    "count_model": ("CountModel", "read_count_model", "write_count_model"),
    "counting": ("count_by_image", "count_errors"),
    "error_analysis": ("error_parts",),
    "evaluator": ("LesionEvaluator", "build_evaluator"),
    "froc_curve": ("FALSE_POSITIVES_PER_PHOTO", "Froc", "FrocCurve", "froc"),
    "matching": ("COCO_IOUS", "DEFAULT_CAPS", "DEFAULT_RANGES", "Matches", "match"),
    "precision_curves": (
        "PrecisionCurves",
        "PrecisionRecall",
        "average_precision",
        "precision_recall",
    ),
    "protocol": ("compare", "evaluate"),
    "result": ("Difference", "EvaluationOptions", "EvaluationResult"),
    "result_rows": ("detections_from_rows", "read_predictions"),
    "saved_predictions": ("read_saved_predictions",),
}
_MODULE_OF = {name: module for module, names in _NAMES_IN.items() for name in names}
__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
