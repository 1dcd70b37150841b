"""From photos to boxes."""

from acnet.inference.predictor import Predictor
from acnet.inference.tiling import TilingOptions
from acnet.tiling.merge import MergeOptions

__all__ = ["MergeOptions", "Predictor", "TilingOptions"]
