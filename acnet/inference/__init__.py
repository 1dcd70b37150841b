"""From photos to boxes."""

from acnet.inference.predictor import Predictor

__all__ = ["Predictor"]
