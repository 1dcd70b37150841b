"""What every engine is."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from detectron2.structures import Instances

from acnet.engine.precision import Precision


class Engine(Protocol):
    """Finds lesions in tiles.

    Attributes:
        name: with its version, where that decides results: results of one are not taken for those
            of another.
        device: where it computes.
        precision: what it computes with.
    """

    name: str
    device: torch.device
    precision: Precision

    def detect(
        self, inputs: list[dict], parts_xyxy: Sequence[np.ndarray] | None = None
    ) -> list[Instances]:
        """
        Args:
            inputs: for each tile "image" (3, h, w) uint8 as the model sees it, and the "height" and
                "width" that boxes are wanted in.
            parts_xyxy: for each tile the part that it answers for, in that height and width; None
                for all.

        Returns:
            For each tile what was found, best first.
        """
