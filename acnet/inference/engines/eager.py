"""The model itself, in PyTorch: the engine that all others are measured by."""

from collections.abc import Sequence

import numpy as np
import torch
from detectron2.structures import Instances

from acnet.engine.precision import Precision
from acnet.inference.part_detection import detect


class EagerEngine:
    """An `Engine` around a model in evaluation mode.

    Attributes:
        model: of detectron2.
    """

    name = "eager"

    def __init__(self, model: torch.nn.Module, precision: Precision):
        """
        Args:
            model: in evaluation mode, on its device.
            precision: what it computes with.
        """
        self.model = model
        self.device = model.device
        self.precision = precision

    def detect(
        self, inputs: list[dict], parts_xyxy: Sequence[np.ndarray] | None = None
    ) -> list[Instances]:
        """Same as `Engine.detect`."""
        with torch.inference_mode(), self.precision.autocast():
            return detect(self.model, inputs, parts_xyxy)
