"""The model itself in PyTorch, as an engine: built by its config and filled with its weights.

Nothing here is imported where an exported file runs.
"""

import copy
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from detectron2.config import instantiate
from detectron2.data import transforms as T
from detectron2.modeling.meta_arch import GeneralizedRCNN
from detectron2.structures import Instances
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from acnet.checkpoint.load_report import load_trained_weights
from acnet.config import change_config, config_of, load_config
from acnet.data.register import classes_of
from acnet.engine.precision import Precision, choose_precision, resolve_device
from acnet.errors import UserError, WeightsMismatchError, printable, shorten
from acnet.files import digest
from acnet.inference.engines import NOTHING, Found, Optimizations, scaled_part
from acnet.inference.optimize import optimize_for_inference
from acnet.inference.trained_model import Config, LoadedModel, tiling_of
from acnet.layers.host import Fetched, Turns, finish, sent_along, take_turns
from acnet.modeling import ACNet
from acnet.modeling.own_cells import run_backbone
from acnet.photos.grid import PhotoSizing, TilingOptions

# Of a config: training has no say in what a finished model finds.
DECIDING_KEYS = ("model", "dataloader.test.mapper", "train.amp", "train.channels_last")
# What `train.amp` would say for each precision that is asked for by name.
_AMP_BY_PRECISION = {
    "auto": {"enabled": "auto", "dtype": "auto"},
    "float32": {"enabled": False, "dtype": "auto"},
    "bfloat16": {"enabled": True, "dtype": "bfloat16"},
    "float16": {"enabled": True, "dtype": "float16"},
}
BLANK_PX = 64  # of a first picture
PRECISIONS = ("config", *_AMP_BY_PRECISION)


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
    ) -> list[Found]:
        """Same as `Engine.detect`."""
        inputs = [{**one, "image": torch.as_tensor(one["image"])} for one in inputs]
        with torch.inference_mode(), self.precision.autocast():
            found = detect(self.model, inputs, parts_xyxy)
        return _on_host(found) if found else []

    def saliency(self, inputs: list[dict]) -> list[np.ndarray]:
        """Return (h, w) maps at the size of each input, of a model with mask attention."""
        inputs = [{**one, "image": torch.as_tensor(one["image"])} for one in inputs]
        with torch.inference_mode(), self.precision.autocast():
            batch = self.model.preprocess_image(inputs)
            grid = self.model.backbone.saliency(batch.tensor, batch.image_sizes).float()
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
    quarters of them. A model without proposals answers for the whole picture.
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
    halves = model.halves(inputs) if isinstance(model, ACNet) else [slice(None)]
    if len(halves) > 1:
        chooses = [partial(_chosen, inputs[half], parts_xyxy[half]) for half in halves]
        turns = map(model.detecting, [inputs[half] for half in halves], chooses)
        found = list(itertools.chain(*take_turns(list(turns))))
    else:
        images = model.preprocess_image(inputs)
        features = run_backbone(model.backbone, images.tensor, images.image_sizes)
        proposals, _ = model.proposal_generator(images, features)
        proposals = finish(_chosen(inputs, parts_xyxy, proposals))
        found, _ = model.roi_heads(images, features, proposals)
    # No empty box to look for.
    outputs = model._postprocess(found, inputs, [one.image_size for one in found])
    return [output["instances"] for output in outputs]


def _chosen(
    inputs: list[dict], parts_xyxy: Sequence[np.ndarray], proposals: list[Instances]
) -> Turns[list[Instances]]:
    """The proposals whose centre lies in the part of their picture, in turns."""
    inside = [
        _centred_in(one, scaled_part(part, picture))
        for one, part, picture in zip(proposals, parts_xyxy, inputs, strict=True)
    ]
    fetched = Fetched(torch.cat(inside))  # one look for all
    yield
    on_host = np.split(fetched.numpy(), np.cumsum([len(one) for one in inside])[:-1])
    chosen = [sent_along(np.flatnonzero(one), inside[0]) for one in on_host]
    return [one[index] for one, index in zip(proposals, chosen, strict=True)]


def _on_host(found: Sequence[Instances]) -> list[Found]:
    """Boxes, scores and classes of each picture, which leave the device together."""
    columns = [(one.pred_boxes.tensor, one.scores, one.pred_classes) for one in found]
    rows = [torch.column_stack([part.float() for part in one]) for one in columns]
    on_host = torch.cat(rows).cpu().numpy()
    pictures = np.split(on_host, np.cumsum([len(one) for one in rows])[:-1])
    return [(one[:, :4], one[:, 4], one[:, 5].astype(np.int64)) for one in pictures]


def _centred_in(proposals: Instances, part_xyxy: np.ndarray) -> Tensor:
    """Tell which proposals have their centre in a part, without leaving the device."""
    centres = proposals.proposal_boxes.get_centers()
    left, top, right, bottom = part_xyxy.tolist()
    x, y = centres.unbind(dim=1)
    return (x >= left) & (x <= right) & (y >= top) & (y <= bottom)


def load_eager_model(
    weights: Path,
    config: Config | None,
    overrides: Sequence[str],
    *,
    device: str,
    precision: str,
    optimizations: Optimizations,
) -> LoadedModel:
    """Build a model, fill it and make it fast; see `acnet.inference.trained_model.load_model`."""
    if precision not in PRECISIONS:
        raise UserError(
            f"The precision must be one of {', '.join(PRECISIONS)}. Received {precision!r}; "
            "choose one of these."
        )
    cfg = _config(weights, config, overrides)
    on_device = resolve_device(device)
    named = _AMP_BY_PRECISION.get(precision)
    amp = cfg.train.amp if named is None else OmegaConf.create(named)
    if precision == "float16" and on_device.type == "cpu":
        raise UserError(
            "float16 needs a GPU, since CPUs compute it slowly. Received --precision float16 on a "
            "CPU; use auto, bfloat16 or float32."
        )
    computed = choose_precision(amp, on_device)
    model = instantiate(cfg.model).to(on_device).eval()
    if cfg.train.channels_last:
        model = model.to(memory_format=torch.channels_last)
    load_trained_weights(model, weights)
    if optimizations != NOTHING:
        model = optimize_for_inference(model, dtype=computed.dtype, optimizations=optimizations)
    augmentations = list(instantiate(cfg.dataloader.test.mapper.augmentations))
    eager = EagerEngine(model, computed)
    class_names = list(cfg.get("class_names") or classes_of(cfg))
    _check_parts(eager, weights, class_names)
    return LoadedModel(
        engine=eager,
        input_format=cfg.model.input_format,
        resize=resize_by(augmentations),
        class_names=class_names,
        tiling=tiling_of(TilingOptions.tile_px, whole=bool(augmentations), exact=False),
        sizing=PhotoSizing(**cfg.get("photos", {})),
        optimizations=optimizations,
        weights=weights,
        config_digest=config_digest(cfg),
    )


def _check_parts(engine: EagerEngine, weights: Path, class_names: Sequence[str]) -> None:
    """Let a blank tile through, which meets any two parts that do not fit each other."""
    num_classes = getattr(engine.model, "roi_heads", engine.model).num_classes
    if len(class_names) != num_classes:
        raise WeightsMismatchError(
            f"Each class that a model finds has a name. Received {weights} with {num_classes} "
            f"classes and the names {shorten(class_names)}; use the config of its training."
        )
    blank = torch.zeros(3, BLANK_PX, BLANK_PX, dtype=torch.uint8)
    try:
        engine.detect([{"image": blank, "height": BLANK_PX, "width": BLANK_PX}])
    except Exception as error:  # each part has its own way to say what does not fit
        raise WeightsMismatchError(
            "A model's parts take what the parts before them give. Received "
            f"{weights}, whose model fails on a blank picture ({type(error).__name__}: "
            f"{printable(' '.join(str(error).split()))[:200]}); use the config of its training."
        ) from error


def resize_by(augmentations: list[T.Augmentation]) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return what a config's test set does to a picture before the model sees it."""
    if not augmentations:
        return None

    def resize(image: np.ndarray) -> np.ndarray:
        seen = T.AugInput(image)
        T.AugmentationList(augmentations)(seen)
        return seen.image

    return resize


def _config(weights: Path, config: Config | None, overrides: Sequence[str]) -> DictConfig:
    if isinstance(config, DictConfig):
        return change_config(copy.deepcopy(config), overrides) if overrides else config
    return load_config(config_of(weights) if config is None else config, overrides)


def config_digest(cfg: DictConfig) -> str:
    """Return a hash of the parts of a config that decide what a trained model finds."""
    chosen = (OmegaConf.select(cfg, key) for key in DECIDING_KEYS)
    plain = [
        OmegaConf.to_container(part, resolve=True) if OmegaConf.is_config(part) else part
        for part in chosen
    ]
    return digest(plain)
