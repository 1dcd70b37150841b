"""A trained model as a function of a photo."""

import copy
import logging
import os
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from detectron2.config import instantiate
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data import transforms as T
from detectron2.structures import Instances
from omegaconf import DictConfig, OmegaConf

from acnet.checkpoint import load_trained_weights
from acnet.config_files import load_config
from acnet.data.register import register_all
from acnet.engine.device import resolve_device
from acnet.engine.precision import choose_precision
from acnet.engine.train import build_model
from acnet.inference.photos import read_photo

logger = logging.getLogger(__name__)

Photo: TypeAlias = str | os.PathLike | np.ndarray


class Predictor:
    """Find lesions in photos with a trained model.

    Like detectron2's `DefaultPredictor` it takes a picture as OpenCV reads it; it also takes files,
    and lists of both. Each photo goes through the model whole, resized as the config's
    `dataloader.test` says, in the precision of the training (`train.amp`).

    Attributes:
        device: Where the model is.
        model: In evaluation mode.
        class_names: By class index.

    Example:
        predictor = Predictor("toy/acnet_r18", "output/toy/acnet_r18/model_best.pth")
        boxes = predictor("photo.jpg").pred_boxes
    """

    def __init__(
        self,
        config: str | os.PathLike | DictConfig,
        weights: str | os.PathLike,
        device: str = "auto",
    ):
        """
        Args:
            config: A name such as "toy/acnet_r18", a file, or what `load_config` gave.
            weights: A checkpoint of a training with this config.
            device: "auto" (a GPU where there is one), or a name that torch knows.

        Raises:
            UserError: Unknown config or device; weights that cannot be read or do not fit.
        """
        cfg = copy.deepcopy(config) if isinstance(config, DictConfig) else load_config(config)
        cfg.train.device = device
        self.device = resolve_device(device)
        self.model = build_model(cfg).eval()
        load_trained_weights(self.model, weights)
        self.class_names = _class_names(cfg)
        self._precision = choose_precision(cfg.train.amp, self.device)
        self._input_format = cfg.model.input_format
        self._resize = T.AugmentationList(instantiate(cfg.dataloader.test.mapper.augmentations))

    def __call__(self, photos: Photo | list[Photo]) -> Instances | list[Instances]:
        """Detect lesions.

        Args:
            photos: A file, or a picture (H, W, 3) uint8 in BGR; or a list of such.

        Returns:
            On the CPU, `pred_boxes` in the photo's own pixels (upright, where a file says how it
            was held), `scores` from 0 to 1 and `pred_classes`, down to the model's lowest score;
            a list of them for a list.

        Raises:
            UnreadableFileError: A file is no picture, or damaged.
            ValueError: An array is no such picture.
        """
        if isinstance(photos, list):
            return [self(photo) for photo in photos]
        inputs = self._prepare(photos)
        with torch.inference_mode(), self._precision.autocast():
            (output,) = self.model([inputs])
        return output["instances"].to(torch.device("cpu"))

    @property
    def merge_name(self) -> str:
        """What merges overlapping detections, such as "soft_nms-linear"; counts depend on it."""
        return f"soft_nms-{self.model.roi_heads.box_predictor.soft_nms_method}"

    @property
    def has_saliency(self) -> bool:
        """Whether the model has a mask attention to look at (MAMA)."""
        return hasattr(self.model.backbone, "saliency")

    def saliency(self, photo: Photo) -> np.ndarray:
        """Show where the mask attention expects lesions.

        Args:
            photo: As for a call, but one.

        Returns:
            (h, w) float32 in [0, 1], of the size at which the model saw the photo.

        Raises:
            ValueError: The model has no mask attention.
        """
        if not self.has_saliency:
            raise ValueError(
                "Saliency is what the mask attention (MAMA) computes. Received a model without it; "
                "check has_saliency first."
            )
        with torch.inference_mode(), self._precision.autocast():
            images = self.model.preprocess_image([self._prepare(photo)])
            grid = self.model.backbone.saliency(images.tensor).float()
        padded_hw = images.tensor.shape[-2:]
        full = F.interpolate(grid, padded_hw, mode="bilinear", align_corners=False)[0, 0]
        height, width = images.image_sizes[0]
        return full[:height, :width].cpu().numpy()

    def _prepare(self, photo: Photo) -> dict:
        """Make the dict that detectron2's models take of a photo."""
        image = photo if isinstance(photo, np.ndarray) else read_photo(photo)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise ValueError(
                "A picture must be (H, W, 3) uint8 in BGR, as cv2.imread gives it. "
                f"Received shape {image.shape} of {image.dtype}; convert it."
            )
        height, width = image.shape[:2]
        if self._input_format == "RGB":
            image = image[:, :, ::-1]
        resized = T.AugInput(image)
        self._resize(resized)
        chw = np.ascontiguousarray(resized.image.transpose(2, 0, 1))
        return {"image": torch.as_tensor(chw), "height": height, "width": width}


def _class_names(cfg: DictConfig) -> list[str]:
    """Return the names that the config's test set has, or numbers where it is not known here."""
    count = OmegaConf.select(cfg, "model.roi_heads.num_classes")
    if OmegaConf.select(cfg, "class_names") is not None:  # of a bundle
        return list(cfg.class_names)
    dataset = OmegaConf.select(cfg, "dataloader.test.dataset.names")
    dataset = dataset if isinstance(dataset, str) else next(iter(dataset or []), "")
    if dataset not in DatasetCatalog:
        register_all()
    names = (
        MetadataCatalog.get(dataset).get("thing_classes", []) if dataset in DatasetCatalog else []
    )
    if len(names) != count:
        logger.warning(
            "The model has %s classes and its test set %r names %d; they are called by number.",
            *(count, dataset, len(names)),
        )
        return [f"class {index + 1}" for index in range(count)]
    return list(names)
