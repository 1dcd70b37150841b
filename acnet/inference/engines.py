"""What computes the detections of tiles, and the engine around exported files, without torch.

Shape shorthand:
    B: tiles of a batch
    T: side of a tile in pixels
    N: places for detections of a tile
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from acnet.errors import UserError
from acnet.export.metadata import INPUT_NAMES, ExportSettings
from acnet.export.trial import SECONDS, SECONDS_PER_MEGAPIXEL
from acnet.inference.runtimes import Session, reason_of

_MOST_PLACES = 100_000  # for detections of a tile

# Boxes (N, 4) XYXY float32, scores (N,) float32 and classes (N,) int64 of a tile, best first.
Found: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


class Engine(Protocol):
    """Finds lesions in tiles.

    Attributes:
        name: with its version, where that decides results: results of one are not taken for those
            of another.
        device: where it computes; its text begins with the kind, as "cuda:1".
        precision: what it computes with.
    """

    name: str
    device: Any
    precision: Any

    def detect(
        self, inputs: list[dict], parts_xyxy: Sequence[np.ndarray] | None = None
    ) -> list[Found]:
        """Find lesions in a batch, best first.

        Args:
            inputs: for each tile "image" (3, h, w) uint8 as the model sees it, and the "height" and
                "width" that boxes are wanted in.
            parts_xyxy: for each tile the part that it answers for, in that height and width; None
                for all.
        """


@dataclass(frozen=True, kw_only=True)
class Optimizations:
    """What to change in a model for prediction, see `acnet.inference.optimize`.

    A switch has no effect where the device or the model has no use for it.

    Args:
        fold_norms: batch normalisation becomes part of the convolution before it.
        cast_weights: convolutions and the layers of box heads keep their weights in the precision
            that they compute with, instead of converting them at every call.
        channels_last: in lower precision, convolutions work in channels_last.
        best_proposals_first: the RPN decodes and compares only what it may keep.
        skip_unread_bins: RoIAlign leaves out bins that res5 as a box head strides over.
        cuda_graphs: on a GPU, the kernels of backbone and RPN head are recorded once for each size
            of picture and replayed.
        fuse_activations: on a GPU and in lower precision, one kernel convolves, adds bias and
            shortcut, and applies ReLU.
        take_turns: on a GPU, a batch is predicted by a large model in two halves: one of them is
            computed while the host picks boxes of the other.
        chunk_boxes: on a CPU, res5 as a box head takes a few boxes at a time.
        compile: `torch.compile` the backbone. Not by default: it needs a C++ compiler, and a
            quarter of a minute for each new size of picture, and gains a tenth.
    """

    fold_norms: bool = True
    cast_weights: bool = True
    channels_last: bool = True
    best_proposals_first: bool = True
    skip_unread_bins: bool = True
    chunk_boxes: bool = True
    cuda_graphs: bool = True
    fuse_activations: bool = True
    take_turns: bool = True
    compile: bool = False


NOTHING = Optimizations(**{field.name: False for field in dataclasses.fields(Optimizations)})


def scaled_part(part_xyxy: np.ndarray, picture: dict) -> np.ndarray:
    """Bring a part (4,) from the pixels that boxes are wanted in to those that the model sees."""
    scale = np.array(picture["image"].shape[:0:-1]) / [picture["width"], picture["height"]]
    return part_xyxy * np.tile(scale, 2)


class ExportedEngine:
    """An `Engine` around an exported file: pads tiles, fills batches, collects detections."""

    def __init__(self, session: Session, settings: ExportSettings, num_classes: int):
        """Take what runs the file, the file's settings and how many classes it may find."""
        self._session = session
        self._settings = settings
        self._num_classes = num_classes
        self.name = session.name
        self.device = session.device
        self.precision = session.precision

    def detect(
        self, inputs: list[dict], parts_xyxy: Sequence[np.ndarray] | None = None
    ) -> list[Found]:
        """Same as `Engine.detect`.

        Raises:
            UserError: a picture is larger than the file's tiles, or the file does not answer as an
                exported model does.
        """
        found: list[Found] = []
        step = self._settings.batch or len(inputs) or 1
        for start in range(0, len(inputs), step):
            chosen = slice(start, start + step)
            found += self._detect_batch(
                inputs[chosen], None if parts_xyxy is None else parts_xyxy[chosen]
            )
        return found

    def _detect_batch(
        self, inputs: list[dict], parts_xyxy: Sequence[np.ndarray] | None
    ) -> list[Found]:
        num_places, tile_px = self._settings.batch or len(inputs), self._settings.tile_px
        images = np.zeros((num_places, 3, tile_px, tile_px), np.uint8)
        sizes_hw = np.zeros((num_places, 2), np.float32)
        parts = np.zeros((num_places, 4), np.float32)
        for index, one in enumerate(inputs):
            height, width = one["image"].shape[1:]
            if max(height, width) > tile_px:
                raise UserError(
                    f"The exported model takes pictures of at most {tile_px} pixels a side, as it "
                    f"was exported. Received {height}x{width} pixels; let photos be cut into tiles "
                    f"of {tile_px}, or export with a larger --tile."
                )
            images[index, :, :height, :width] = one["image"]
            sizes_hw[index] = height, width
            parts[index] = 0.0, 0.0, width, height
            if parts_xyxy is not None:
                parts[index] = scaled_part(parts_xyxy[index], one)
        outputs = self.run(images, sizes_hw, parts)
        return [
            _found(*(output[index] for output in outputs), one) for index, one in enumerate(inputs)
        ]

    def run(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """Run one batch, and check what comes back.

        Args:
            arrays: (B, 3, T, T) uint8, (B, 2) float32 and (B, 4) float32, by `INPUT_NAMES`.

        Returns:
            Boxes (B, N, 4), scores (B, N) and classes (B, N).

        Raises:
            UserError: the file fails, takes too long, or gives what no detector gives.
        """
        megapixels = len(arrays[0]) * self._settings.tile_px**2 / 1e6
        seconds = SECONDS + SECONDS_PER_MEGAPIXEL * megapixels  # it may hold a loop without an end
        try:
            outputs = self._session.run(dict(zip(INPUT_NAMES, arrays, strict=True)), seconds)
        # The runtimes' errors have no class in common but this one.
        except Exception as error:
            raise self._unusable(reason_of(error)) from error
        fault = _fault(outputs, len(arrays[0]), self._num_classes)
        if fault:
            raise self._unusable(fault)
        return outputs

    def _unusable(self, reason: str) -> UserError:
        return UserError(
            "An exported model gives boxes, scores and classes for every tile. Received "
            f"{self._settings.name!r} in {self.name}, which fails ({reason}); make the file anew "
            "by `acnet export`."
        )


def _fault(outputs: list[np.ndarray], num_tiles: int, num_classes: int) -> str | None:
    boxes, scores, classes = outputs
    places = scores.shape[-1] if scores.ndim else 0
    if scores.shape != (num_tiles, places) or classes.shape != scores.shape:
        return f"scores of shape {scores.shape} and classes of shape {classes.shape}"
    if boxes.shape != (num_tiles, places, 4) or places > _MOST_PLACES:
        return f"boxes of shape {boxes.shape}"
    if boxes.dtype.kind != "f" or scores.dtype.kind != "f" or classes.dtype.kind not in "iu":
        return f"numbers of kinds {boxes.dtype}, {scores.dtype} and {classes.dtype}"
    found = scores >= 0
    if not np.isfinite(boxes[found]).all() or np.isnan(scores).any() or (scores > 1.001).any():
        return "boxes that are not finite, or scores that are not from 0 to 1"
    if (classes[found] < 0).any() or (classes[found] >= num_classes).any():
        return f"a class that is none of the {num_classes}"
    return None


def _found(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, one: dict) -> Found:
    """Bring boxes to the pixels that are wanted, as detectron2's `detector_postprocess` does."""
    is_found = scores >= 0
    size_wh = np.array([one["width"], one["height"]], np.float32)
    scale = size_wh / np.array(one["image"].shape[:0:-1], np.float32)
    boxes = (boxes[is_found] * np.tile(scale, 2)).clip(0, np.tile(size_wh, 2))
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    scores, classes = scores[is_found][has_area], classes[is_found][has_area]
    return boxes[has_area].astype(np.float32), scores.astype(np.float32), classes.astype(np.int64)
