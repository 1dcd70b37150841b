"""A trained model as a function of a photo of any size."""

import os
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from detectron2.data import transforms as T
from detectron2.structures import Boxes, Instances

from acnet.engine.precision import Precision
from acnet.errors import UserError
from acnet.export.metadata import choose_engine, is_export
from acnet.inference.engines import EagerEngine, Engine, load_exported_model
from acnet.inference.optimize import NOTHING, Optimizations
from acnet.inference.photos import read_photo
from acnet.inference.saliency import blend_saliency
from acnet.inference.tiling import Progress, TilingOptions, in_photo, tile_batches
from acnet.inference.trained_model import Config, load_trained_model
from acnet.tiling.merge import MergeOptions, merge_tiles
from acnet.tiling.own_parts import own_parts

Photo: TypeAlias = str | os.PathLike | np.ndarray
CPU = torch.device("cpu")


class Predictor:
    """Find lesions in photos with a trained model.

    Like detectron2's `DefaultPredictor` it takes a picture as OpenCV reads it; it also takes files,
    and lists of both. A photo that fits one tile goes through the model whole, and the answer is
    the model's own; a larger one goes through in overlapping tiles, whose detections are merged.

    Attributes:
        engine: what detects lesions in tiles.
        class_names: by class index.
        tiling: how photos are cut.
        merge: how the detections of tiles are merged.
        optimizations: what was changed in the model for speed.

    Example:
        predictor = Predictor("toy/acnet_r18", "output/toy/acnet_r18/model_best.pth")
        boxes = predictor("photo.jpg").pred_boxes
    """

    def __init__(
        self,
        config: Config | None,
        weights: str | os.PathLike,
        device: str = "auto",
        *,
        tiling: TilingOptions | None = None,
        merge: MergeOptions | None = None,
        precision: str = "auto",
        optimize: bool | Optimizations = True,
        engine: str = "auto",
    ):
        """
        Args:
            config: a name such as "toy/acnet_r18", a LazyConfig file or what `load_config` gave, or
                a yaml of detectron2's older kind (over `add_acnet_config`) or its `CfgNode`. None
                for an exported file, which holds its own.
            weights: a checkpoint of a training with this config, or a file that `acnet export`
                wrote.
            device: "auto" (a GPU where there is one), or a name that torch knows.
            tiling: where photos are cut. By default as `TilingOptions()`, unless the config's test
                set resizes its pictures: such a model was trained on whole ones, and none is cut.
                An exported file decides the size of the tiles itself.
            merge: how the detections of tiles are merged; by default `MergeOptions()`.
            precision: "auto" (bfloat16 or float16 where the device computes it natively; that of
                an export), "config" (that of the training, or of the export), "float32",
                "bfloat16" or "float16".
            optimize: change the model for speed, which moves results by rounding only; False for
                the model as it was trained, or the single changes to make. An exported file stays
                as it was exported.
            engine: what runs the weights: "auto" for what suits the file, or a name (see
                `acnet.export.metadata`).

        Raises:
            UserError: unknown config, device, precision or engine; weights that cannot be read or
                do not fit.
        """
        if is_export(weights):
            self._check_no_config(config, weights)
            loaded = load_exported_model(weights, engine=engine, device=device, precision=precision)
            self.engine: Engine = loaded.engine
            self.optimizations = NOTHING
            tile_px, exact = loaded.settings.tile_px, True
        else:
            choose_engine(engine, weights)
            self.optimizations = _optimizations(optimize)
            loaded = load_trained_model(config, weights, device, precision, self.optimizations)
            self.engine = EagerEngine(loaded.model, loaded.precision)
            tile_px, exact = TilingOptions.tile_px, False
        self.class_names = loaded.class_names
        if tiling is None:
            tiling = TilingOptions(
                tile_px=None if loaded.augmentations else tile_px,
                overlap_px=min(TilingOptions.overlap_px, tile_px // 4),
                exact=exact,
            )
        self.tiling = tiling
        self.merge = MergeOptions() if merge is None else merge
        self._input_format = loaded.input_format
        self._resize = T.AugmentationList(loaded.augmentations)

    @property
    def device(self) -> torch.device:
        """Where the engine computes."""
        return self.engine.device

    @property
    def precision(self) -> Precision:
        """What the engine computes with."""
        return self.engine.precision

    @property
    def model(self) -> torch.nn.Module:
        """The eager engine's model, in evaluation mode.

        Raises:
            UserError: another engine runs an exported file.
        """
        if isinstance(self.engine, EagerEngine):
            return self.engine.model
        raise UserError(
            "The model as a module of torch is there with the eager engine only. Received one of "
            f"{self.engine.name}; load the weights that were exported."
        )

    @property
    def merge_name(self) -> str:
        """What merges the tiles of a photo, such as "nms"; thresholds are fitted for one."""
        return self.merge.method

    def __call__(
        self, photos: Photo | list[Photo], *, progress: Progress | None = None
    ) -> Instances | list[Instances]:
        """Detect lesions.

        Args:
            photos: a file, or a picture (H, W, 3) uint8 in BGR; or a list of such.
            progress: called after each batch of tiles with how many of the photo's tiles are done
                and how many it has.

        Returns:
            On the CPU, `pred_boxes` in the photo's own pixels (upright, where a file says how it
            was held), `scores` from 0 to 1 and `pred_classes`, best first, down to the model's
            lowest score; a list of them for a list.

        Raises:
            UnreadableFileError: a file is no picture, or damaged.
            ValueError: an array is no such picture.
        """
        if isinstance(photos, list):
            return [self(photo, progress=progress) for photo in photos]
        image = self._read(photos)
        image_hw = image.shape[:2]
        tiles = self.tiling.tiles(image_hw)
        parts = self._parts(tiles)
        found = []
        for chosen, batch in tile_batches(image, tiles, self.tiling.batch_size):
            found += self.detect_whole(batch, None if parts is None else parts[chosen])
            if progress is not None:
                progress(len(found), len(tiles))
        if len(tiles) == 1:
            return found[0]
        merged = merge_tiles(in_photo(found, tiles), tiles, image_hw, self.merge)
        result = Instances(image_hw)
        result.pred_boxes = Boxes(torch.from_numpy(merged.boxes_xyxy))
        result.scores = torch.from_numpy(merged.scores)
        result.pred_classes = torch.from_numpy(merged.classes)
        return result

    def detect_whole(
        self, images: list[np.ndarray], parts_xyxy: Sequence[np.ndarray] | None = None
    ) -> list[Instances]:
        """Detect lesions in pictures as they are, in one batch, whatever their size.

        This is what a tile goes through; call the predictor itself for photos.

        Args:
            images: (H, W, 3) uint8 in BGR; of one size, or the smaller ones are padded.
            parts_xyxy: for each picture the part that it answers for, in its pixels; None for all.

        Returns:
            For each picture the model's own output, on the CPU.
        """
        inputs = [self._prepare(image) for image in images]
        found = self.engine.detect(inputs, parts_xyxy)
        return [instances.to(CPU) for instances in found]

    @property
    def has_saliency(self) -> bool:
        """Whether there is a mask attention to look at (MAMA); exported files have none."""
        return isinstance(self.engine, EagerEngine) and hasattr(self.model.backbone, "saliency")

    def saliency(self, photo: Photo, *, progress: Progress | None = None) -> np.ndarray:
        """Show where the mask attention expects lesions.

        Args:
            photo: as for a call, but one.
            progress: as for a call.

        Returns:
            (h, w) float32 in [0, 1] over the whole photo: of the size at which the model saw it,
            or, where it is cut into tiles, one value for about 8 x 8 pixels.

        Raises:
            ValueError: the model has no mask attention.
        """
        if not self.has_saliency:
            raise ValueError(
                "Saliency is what the mask attention (MAMA) computes. Received a model without it, "
                "or an exported one; check has_saliency first."
            )
        image = self._read(photo)
        tiles = self.tiling.tiles(image.shape[:2])
        maps = (
            one
            for _, batch in tile_batches(image, tiles, self.tiling.batch_size)
            for one in self._saliency(batch)
        )
        if len(tiles) == 1:
            return next(maps)
        return blend_saliency(maps, tiles, image.shape[:2], progress=progress)

    def _saliency(self, images: list[np.ndarray]) -> list[np.ndarray]:
        """(h, w) maps at the size of the model's input."""
        with torch.inference_mode(), self.precision.autocast():
            batch = self.model.preprocess_image([self._prepare(image) for image in images])
            grid = self.model.backbone.saliency(batch.tensor).float()
        padded_hw = batch.tensor.shape[-2:]
        full = F.interpolate(grid, padded_hw, mode="bilinear", align_corners=False)[:, 0]
        sizes = zip(full.cpu().numpy(), batch.image_sizes, strict=True)
        return [one[:height, :width] for one, (height, width) in sizes]

    def _parts(self, tiles_xyxy: np.ndarray) -> np.ndarray | None:
        """(T, 4): what each tile answers for, in its own pixels; None for all that it sees."""
        slack_px = self.tiling.slack_px
        if len(tiles_xyxy) == 1 or slack_px is None or self.merge.needs_every_view:
            return None
        return own_parts(tiles_xyxy, slack_px) - np.tile(tiles_xyxy[:, :2], 2)

    @staticmethod
    def _check_no_config(config: Config | None, weights: str | os.PathLike) -> None:
        if config is not None:
            raise UserError(
                "An exported file holds the config that its model was built by, and takes no "
                f"other. Received {weights} with a config; leave the config out."
            )

    def _read(self, photo: Photo) -> np.ndarray:
        image = photo if isinstance(photo, np.ndarray) else read_photo(photo)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise ValueError(
                "A picture must be (H, W, 3) uint8 in BGR, as cv2.imread gives it. "
                f"Received shape {image.shape} of {image.dtype}; convert it."
            )
        return image

    def _prepare(self, image: np.ndarray) -> dict:
        """Make the dict that detectron2's models take of a picture."""
        height, width = image.shape[:2]
        if self._input_format == "RGB":
            image = image[:, :, ::-1]
        resized = T.AugInput(image)
        self._resize(resized)
        chw = np.ascontiguousarray(resized.image.transpose(2, 0, 1))
        return {"image": torch.as_tensor(chw), "height": height, "width": width}


def _optimizations(optimize: bool | Optimizations) -> Optimizations:
    if isinstance(optimize, Optimizations):
        return optimize
    return Optimizations() if optimize else NOTHING
