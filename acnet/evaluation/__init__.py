"""Evaluators of detection results, built on detectron2's."""

from acnet.evaluation.detection import CappedCOCOEvaluator, build_evaluator

__all__ = ["CappedCOCOEvaluator", "build_evaluator"]
