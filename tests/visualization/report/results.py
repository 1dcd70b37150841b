"""Evaluations of made-up detections, small enough to be made in each test that changes them."""

import dataclasses

import numpy as np
from example_report import made_up

from acnet.evaluation.columns import Detections, GroundTruth, sort_detections
from acnet.evaluation.count_fit import fit_count_model
from acnet.evaluation.protocol import evaluate
from acnet.evaluation.result import EvaluationOptions, EvaluationResult

OPTIONS = EvaluationOptions(replicates=10)


def evaluated(
    photos: int = 20, *, classes: int = 1, count_model: bool = True, **columns: object
) -> EvaluationResult:
    """Evaluate made-up detections, with columns of the ground truth replaced."""
    model = None
    if count_model:
        truth, detections = made_up(20, seed=1)
        model = fit_count_model(truth.counts(), detections, merge="none")
    truth, detections = made_up(photos, seed=0, classes=classes)
    truth = dataclasses.replace(truth, **columns)
    return evaluate(truth, detections, count_model=model, options=OPTIONS)


def evaluated_nothing(photos: int, *, lesions: bool) -> EvaluationResult:
    """Evaluate the silence of a model, on photos with lesions or without any."""
    truth, _ = made_up(photos, seed=0)
    return evaluate(truth if lesions else without_lesions(truth), silence(), options=OPTIONS)


def silence() -> Detections:
    """Return no detection."""
    none = np.zeros(0)
    return sort_detections(photo=none, classes=none, boxes_xywh=np.zeros((0, 4)), scores=none)


def without_lesions(truth: GroundTruth) -> GroundTruth:
    """Return the photos alone."""
    names = ("photo", "classes", "boxes_xywh", "areas", "crowd", "difficult")
    return dataclasses.replace(truth, **{name: getattr(truth, name)[:0] for name in names})
