"""What all engines that run an exported file do before and after it.

Shape shorthand:
    B: tiles of a batch
    T: side of a tile in pixels
    N: places for detections of a tile
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances
from torch import Tensor

from acnet.engine.precision import Precision
from acnet.errors import UserError
from acnet.export.contents import ExportSettings
from acnet.inference.part_detection import scaled_part
from acnet.layers import soft_nms


class Session(Protocol):
    """An exported file that is ready to run.

    Attributes:
        name: of the engine and its version.
        device: where it computes.
        precision: what it computes with.
    """

    name: str
    device: torch.device
    precision: Precision

    def run(self, images: Tensor, sizes_hw: Tensor, parts_xyxy: Tensor) -> tuple[Tensor, ...]:
        """Run one batch.

        Args:
            images: (B, 3, T, T) uint8.
            sizes_hw: (B, 2) float32.
            parts_xyxy: (B, 4) float32.

        Returns:
            Boxes (B, N, 4), scores (B, N) and classes (B, N), on the CPU.
        """


class ExportedEngine:
    """An `Engine` around an exported file: pads tiles, fills batches, collects detections.

    Attributes:
        run: the file's own outputs, see `Session.run`.
    """

    def __init__(self, session: Session, settings: ExportSettings):
        """
        Args:
            session: what runs the file.
            settings: of the file.
        """
        self.run = session.run
        self._settings = settings
        self.name = session.name
        self.device = session.device
        self.precision = session.precision

    def detect(
        self, inputs: list[dict], parts_xyxy: Sequence[np.ndarray] | None = None
    ) -> list[Instances]:
        """Same as `Engine.detect`.

        Raises:
            UserError: a picture is larger than the file's tiles.
        """
        found: list[Instances] = []
        step = self._settings.batch or len(inputs) or 1
        for start in range(0, len(inputs), step):
            chosen = slice(start, start + step)
            found += self._detect_batch(
                inputs[chosen], None if parts_xyxy is None else parts_xyxy[chosen]
            )
        return found

    def _detect_batch(
        self, inputs: list[dict], parts_xyxy: Sequence[np.ndarray] | None
    ) -> list[Instances]:
        num_places = self._settings.batch or len(inputs)
        tile_px = self._settings.tile_px
        images = torch.zeros(num_places, 3, tile_px, tile_px, dtype=torch.uint8)
        sizes_hw = torch.zeros(num_places, 2)
        parts = torch.zeros(num_places, 4)
        for index, one in enumerate(inputs):
            height, width = _checked_hw(one["image"], tile_px)
            images[index, :, :height, :width] = one["image"]
            sizes_hw[index] = torch.tensor([height, width])
            part = np.array([0.0, 0.0, width, height])
            if parts_xyxy is not None:
                part = scaled_part(parts_xyxy[index], one, (height, width))
            parts[index] = torch.from_numpy(part)
        outputs = self.run(images, sizes_hw, parts)
        return [
            self._instances(*(output[index] for output in outputs), one)
            for index, one in enumerate(inputs)
        ]

    def _instances(self, boxes: Tensor, scores: Tensor, classes: Tensor, one: dict) -> Instances:
        is_found = scores >= 0
        boxes, scores, classes = boxes[is_found], scores[is_found], classes[is_found]
        if self._settings.soft_nms == "outside":
            keep, scores = soft_nms(boxes, scores, classes, **self._settings.decay)
            boxes, classes = boxes[keep], classes[keep]
        found = Instances(tuple(one["image"].shape[1:]))
        found.pred_boxes = Boxes(boxes)
        found.scores = scores
        found.pred_classes = classes
        return detector_postprocess(found, one["height"], one["width"])


def _checked_hw(image: Tensor, tile_px: int) -> tuple[int, int]:
    height, width = image.shape[1:]
    if max(height, width) > tile_px:
        raise UserError(
            f"The exported model takes pictures of at most {tile_px} pixels a side, as it was "
            f"exported. Received {height}x{width} pixels; let photos be cut into tiles of "
            f"{tile_px}, or export with a larger --tile."
        )
    return height, width
