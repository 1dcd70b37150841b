"""From photos to boxes: the predictor, and the engines that it runs."""

from acnet.inference.predictor import Predictor, load
from acnet.photos.grid import TilingOptions
from acnet.photos.merge import MergeOptions

__all__ = ["MergeOptions", "Predictor", "TilingOptions", "load"]
