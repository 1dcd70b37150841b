"""What computes the detections of tiles: the model itself, or an exported file in another runtime.

Shape shorthand:
    B: tiles of a batch
    T: side of a tile in pixels
    N: places for detections of a tile
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from detectron2.config import instantiate
from detectron2.data import transforms as T
from detectron2.modeling.meta_arch import GeneralizedRCNN
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances
from torch import Tensor

from acnet.config import load_config
from acnet.engine.precision import Precision, resolve_device
from acnet.errors import UserError
from acnet.export.metadata import (
    INPUT_NAMES,
    ExportSettings,
    choose_engine,
    read_export,
)
from acnet.export.trial import SECONDS, SECONDS_PER_MEGAPIXEL, fault_of
from acnet.inference.runtimes import (
    OPENVINO_HINTS,
    OnnxRuntimeSession,
    OpenVinoSession,
    Session,
    reason_of,
    refused,
)
from acnet.modeling import ACNet
from acnet.modeling.own_cells import run_backbone

_AS_EXPORTED = ("config", "auto")  # as precision
_MOST_PLACES = 100_000  # for detections of a tile


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
        """Find lesions in a batch.

        Args:
            inputs: for each tile "image" (3, h, w) uint8 as the model sees it, and the "height" and
                "width" that boxes are wanted in.
            parts_xyxy: for each tile the part that it answers for, in that height and width; None
                for all.

        Returns:
            For each tile what was found, best first.
        """


class EagerEngine:
    """The model itself, in PyTorch: the engine that all others are measured by."""

    name = "eager"

    def __init__(self, model: torch.nn.Module, precision: Precision):
        """Take a model of detectron2 in evaluation mode, on its device."""
        self.model = model
        self.device = model.device
        self.precision = precision

    def detect(
        self, inputs: list[dict], parts_xyxy: Sequence[np.ndarray] | None = None
    ) -> list[Instances]:
        """Same as `Engine.detect`."""
        with torch.inference_mode(), self.precision.autocast():
            return detect(self.model, inputs, parts_xyxy)

    def saliency(self, inputs: list[dict]) -> list[np.ndarray]:
        """Return (h, w) maps at the size of each input, of a model with mask attention."""
        with torch.inference_mode(), self.precision.autocast():
            batch = self.model.preprocess_image(inputs)
            grid = self.model.backbone.saliency(batch.tensor).float()
        padded_hw = batch.tensor.shape[-2:]
        full = F.interpolate(grid, padded_hw, mode="bilinear", align_corners=False)[:, 0]
        sizes = zip(full.cpu().numpy(), batch.image_sizes, strict=True)
        return [one[:height, :width] for one, (height, width) in sizes]


def detect(
    model: torch.nn.Module, inputs: list[dict], parts_xyxy: Sequence[np.ndarray] | None = None
) -> list[Instances]:
    """Run a detector of detectron2, with the box head on a part of each picture only.

    Backbone and RPN see the pictures whole. Of the proposals those whose centre lies elsewhere are
    left to the tiles there, before they cost anything: with tiles that overlap by half, three
    quarters of them.

    Args:
        model: in evaluation mode; a model without proposals answers for the whole picture.
        inputs, parts_xyxy: as for `Engine.detect`.
    """
    if parts_xyxy is None or not isinstance(model, GeneralizedRCNN):
        return [output["instances"] for output in model(inputs)]
    groups = [range(len(inputs))]
    if isinstance(model, ACNet):  # whose answer does not depend on a tile's neighbours
        groups = model.equal_sizes(inputs)
    found: dict[int, Instances] = {}
    for indices in groups:
        of_group = ([inputs[i] for i in indices], [parts_xyxy[i] for i in indices])
        found.update(zip(indices, _detect_parts(model, *of_group), strict=True))
    return [found[index] for index in range(len(inputs))]


def _detect_parts(
    model: GeneralizedRCNN, inputs: list[dict], parts_xyxy: Sequence[np.ndarray]
) -> list[Instances]:
    images = model.preprocess_image(inputs)
    features = run_backbone(model.backbone, images.tensor, images.image_sizes)
    proposals, _ = model.proposal_generator(images, features)
    proposals = [
        one[_centred_in(one, _scaled_part(part, picture, one.image_size))]
        for one, part, picture in zip(proposals, parts_xyxy, inputs, strict=True)
    ]
    found, _ = model.roi_heads(images, features, proposals)
    outputs = GeneralizedRCNN._postprocess(found, inputs, images.image_sizes)
    return [output["instances"] for output in outputs]


def _scaled_part(part_xyxy: np.ndarray, picture: dict, input_hw: tuple[int, int]) -> np.ndarray:
    """Bring a part from a picture's pixels to those that the model sees."""
    scale = np.array(input_hw[::-1]) / [picture["width"], picture["height"]]
    return part_xyxy * np.tile(scale, 2)


def _centred_in(proposals: Instances, part_xyxy: np.ndarray) -> Tensor:
    """Tell which proposals have their centre in a part, without leaving the device."""
    centres = proposals.proposal_boxes.get_centers()
    left, top, right, bottom = part_xyxy.tolist()
    x, y = centres.unbind(dim=1)
    return (x >= left) & (x <= right) & (y >= top) & (y <= bottom)


class ExportedEngine:
    """An `Engine` around an exported file: pads tiles, fills batches, collects detections."""

    def __init__(self, session: Session, settings: ExportSettings, num_classes: int):
        """
        Args:
            session: what runs the file.
            settings: of the file.
            num_classes: that it may find.
        """
        self._session = session
        self._settings = settings
        self._num_classes = num_classes
        self.name = session.name
        self.device = session.device
        self.precision = session.precision

    def detect(
        self, inputs: list[dict], parts_xyxy: Sequence[np.ndarray] | None = None
    ) -> list[Instances]:
        """Same as `Engine.detect`.

        Raises:
            UserError: a picture is larger than the file's tiles, or the file does not answer as an
                exported model does.
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
            images[index, :, :height, :width] = one["image"].numpy()
            sizes_hw[index] = height, width
            parts[index] = 0.0, 0.0, width, height
            if parts_xyxy is not None:
                parts[index] = _scaled_part(parts_xyxy[index], one, (height, width))
        outputs = self.run(images, sizes_hw, parts)
        return [
            _instances(*(output[index] for output in outputs), one)
            for index, one in enumerate(inputs)
        ]

    def run(self, *arrays: np.ndarray) -> tuple[Tensor, ...]:
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
        return tuple(torch.from_numpy(output) for output in outputs)

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


def _instances(boxes: Tensor, scores: Tensor, classes: Tensor, one: dict) -> Instances:
    is_found = scores >= 0
    found = Instances(tuple(one["image"].shape[1:]))
    found.pred_boxes = Boxes(boxes[is_found])
    found.scores = scores[is_found]
    found.pred_classes = classes[is_found]
    return detector_postprocess(found, one["height"], one["width"])


@dataclass(frozen=True, kw_only=True, eq=False)
class ExportedModel:
    """An exported file that is ready to predict.

    Args:
        engine: that runs it.
        settings: of the file.
        input_format: "BGR" or "RGB".
        augmentations: what the config's test set does to a picture before the model sees it.
        class_names: by class index.
        photos: at which scale photos were seen in training, as the config says it.
    """

    engine: ExportedEngine
    settings: ExportSettings
    input_format: str
    augmentations: list[T.Augmentation]
    class_names: list[str]
    photos: Mapping[str, Any]


def load_exported_model(
    path: str | os.PathLike,
    *,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "config",
) -> ExportedModel:
    """Make an exported file ready.

    Args:
        path: of an .onnx file that `acnet export` wrote.
        engine: one of `acnet.export.metadata.ENGINES`, or "auto".
        device: "auto" (the CPU: the runtimes' usual packages know no other), or a name.
        precision: "config" or "auto" (as exported), or one that the engine can compute in.

    Raises:
        UserError: the file cannot be read, or the engine does not suit it or is not installed.
    """
    path = Path(path)
    name = choose_engine(engine, path)
    settings, cfg = read_export(path).settings, load_config(path)
    chosen = "float32" if precision in _AS_EXPORTED else precision
    able = tuple(OPENVINO_HINTS) if name == "openvino" else ("float32",)
    if chosen not in able:
        raise UserError(
            f"An exported file holds float32, and the engine {name} computes it in "
            f"{' or '.join(able)}. Received --precision {chosen}; leave it out."
        )
    target = resolve_device("cpu" if device == "auto" else device)
    fault = fault_of(path, name)
    if fault is not None:
        raise refused(name, path, reason_of(fault))
    if name == "openvino":
        session: Session = OpenVinoSession(path, target, chosen)
    else:
        session = OnnxRuntimeSession(path, target)
    return ExportedModel(
        engine=ExportedEngine(session, settings, len(cfg.class_names)),
        settings=settings,
        input_format=cfg.model.input_format,
        augmentations=list(instantiate(cfg.dataloader.test.mapper.augmentations)),
        class_names=list(cfg.class_names),
        photos=cfg.get("photos", {}),
    )
