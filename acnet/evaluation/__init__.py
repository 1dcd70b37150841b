"""Evaluators of detection results, built on detectron2's."""

from acnet.evaluation.counting import count_by_image, count_errors
from acnet.evaluation.detection import CappedCOCOEvaluator, build_evaluator

__all__ = ["CappedCOCOEvaluator", "build_evaluator", "count_by_image", "count_errors"]
