"""Evaluations of made-up detections, small enough to be made in each test that changes them."""

import dataclasses

from example_report import made_up

from acnet.evaluation.count_fit import fit_count_model
from acnet.evaluation.protocol import evaluate
from acnet.evaluation.result import EvaluationOptions, EvaluationResult, PhotoRow
from tests.evaluation.coco_content import detections_of

OPTIONS = EvaluationOptions(replicates=10)


def evaluated(
    photos: int = 20,
    *,
    classes: int = 1,
    count_model: bool = True,
    silent: bool = False,
    lesions: bool = True,
    **columns: object,
) -> EvaluationResult:
    """Evaluate made-up detections, or none, with columns of the ground truth replaced."""
    model = None
    if count_model:
        truth, detections = made_up(20, seed=1)
        model = fit_count_model(truth.counts(), detections, merge="none")
    truth, detections = made_up(photos, seed=0, classes=classes)
    if not lesions:
        names = ("photo", "classes", "boxes_xywh", "areas", "crowd", "difficult")
        columns = {name: getattr(truth, name)[:0] for name in names}
    truth = dataclasses.replace(truth, **columns)
    detections = detections_of([], []) if silent else detections
    return evaluate(truth, detections, count_model=model, options=OPTIONS)


def photo_row(index: int, matched: int, false: int, missed: int) -> PhotoRow:
    """Return the row of a photo without an interval."""
    total = 2 * matched + false + missed
    counts = {"lesions": matched + missed, "counted": matched + false}
    counts |= {"matched": matched, "false": false, "missed": missed}
    counts |= dict.fromkeys(("counted_low", "counted_high"))
    f1 = 2 * matched / total if total else 1.0
    return PhotoRow(index=index, file_name=f"{index}.jpg", f1=f1, **counts)
