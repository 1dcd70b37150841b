"""A trained model as a function of a photo of any size."""

import dataclasses
import functools
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from acnet.errors import UserError
from acnet.evaluation.count_model import CountModel
from acnet.files import Progress, digest, file_sha256
from acnet.inference.engines import Found, Optimizations
from acnet.inference.trained_model import (
    Config,
    LoadedModel,
    find_count_rule,
    find_weights,
    load_model,
)
from acnet.photos.grid import AUTO, PhotoSize, TilingOptions, resize, see, tile_batches
from acnet.photos.instances import to_instances
from acnet.photos.merge import MergeOptions, TileDetections, blend_saliency, in_photo, merge_tiles
from acnet.photos.read import Photo, as_bgr
from acnet.photos.results import CountRule, PhotoCount, photo_traits

if TYPE_CHECKING:
    import torch
    from detectron2.structures import Instances

logger = logging.getLogger(__name__)


def load(
    source: str | os.PathLike | None = None,
    *,
    device: str = "auto",
    config: Config | None = None,
    overrides: Sequence[str] = (),
    tiling: TilingOptions | None = None,
    merge: MergeOptions | None = None,
    count_model: CountModel | str | os.PathLike | None = None,
    score_threshold: float | None = None,
    precision: str = "auto",
    optimize: bool | Optimizations = True,
    engine: str = "auto",
    photo_size: PhotoSize = AUTO,
) -> "Predictor":
    """Make a predictor of weights; all else that it needs is found in or beside them.

    Args:
        source: Nothing for the bundled weights, or a bundled name, a bundle (.safetensors), a
            checkpoint, the folder of a training, or an exported .onnx file.
        device: "auto" (a GPU where there is one), or a name that torch knows.
        config: Of a checkpoint without its config.yaml: a name such as "toy/acnet_r18", a file, or
            what `load_config` gave.
        overrides: Changes to the config, "path.key=value".
        tiling: Where photos are cut. By default as `TilingOptions()`; nowhere if the config's test
            set resizes its pictures; in the tiles of an exported file.
        merge: How the detections of tiles are merged; by default `MergeOptions()`.
        count_model: Or its file; by default the one in a bundle, or count.json beside a checkpoint.
        score_threshold: To count without a model; 0.5 where there is neither.
        precision, optimize, engine: See `load_model`.
        photo_size: At which size photos are seen: the long side in pixels, "native" for their own,
            or "auto": as in training where that saw photos as they are, else the size at which the
            lesions that a first look finds measure what they did in training.

    Raises:
        UserError: Something is unknown, or weights cannot be read or do not fit.

    Example:
        predictor = acnet.load()
        lesions = predictor("photo.jpg")
        print(predictor.count("photo.jpg"))
    """
    weights = find_weights(source)
    options = {"precision": precision, "optimize": optimize, "engine": engine}
    model = load_model(weights, config, overrides, device=device, **options)
    sizing = dataclasses.replace(model.sizing, wanted=photo_size)
    model = dataclasses.replace(model, sizing=sizing)
    counting = {"count_model": count_model, "score_threshold": score_threshold}
    rule = find_count_rule(model.weights, sizing.merge_name, **counting)
    logger.info("%s runs %s", model.engine.name, model.weights.name)
    return Predictor(model, tiling=tiling, merge=merge, rule=rule)


class Predictor:
    """Find lesions in photos with a trained model; `acnet.load` makes one.

    Like detectron2's `DefaultPredictor` it takes a picture as OpenCV reads it; it also takes files,
    their bytes, PIL images, and lists of these. A photo that fits one tile goes through the model
    whole, and the answer is the model's own; a larger one goes through in overlapping tiles, whose
    detections are merged.

    Attributes:
        engine: What detects lesions in tiles.
        class_names: By class index.
        merge: How the detections of tiles are merged.
        rule: Which detections count as lesions.
        optimizations: What was changed in the model for speed.
        sizing: At which size photos are seen.
    """

    def __init__(
        self,
        model: LoadedModel | Config | None,
        weights: str | os.PathLike | None = None,
        device: str = "auto",
        *,
        tiling: TilingOptions | None = None,
        merge: MergeOptions | None = None,
        rule: CountRule | None = None,
        precision: str = "auto",
        optimize: bool | Optimizations = True,
        engine: str = "auto",
    ):
        """
        Args:
            model: Of `load_model`. A config, with `weights` and the options of `load_model` behind
                it, is taken too, and deprecated: call `acnet.load`.
            tiling: By default the model's.
            merge: By default `MergeOptions()`.
            rule: By default every detection with a score of at least 0.5 counts.
        """
        if not isinstance(model, LoadedModel):
            warnings.warn(
                "Predictor(config, weights) is deprecated; acnet.load(weights, config=config) does "
                "the same, and finds the config of most weights itself.",
                DeprecationWarning,
                stacklevel=2,
            )
            options = {"precision": precision, "optimize": optimize, "engine": engine}
            model = load_model(find_weights(weights), model, device=device, **options)
        self.engine = model.engine
        self.class_names = model.class_names
        self.optimizations = model.optimizations
        self.sizing = model.sizing
        self.merge = MergeOptions() if merge is None else merge
        self.rule = CountRule() if rule is None else rule
        self._loaded = model
        self.tiling = model.tiling if tiling is None else tiling

    @property
    def tiling(self) -> TilingOptions:
        """How photos are cut."""
        return self._tiling

    @tiling.setter
    def tiling(self, tiling: TilingOptions) -> None:
        own = self._loaded.tiling
        if own.exact and own.tile_px is not None and tiling.tile_px != own.tile_px:
            raise UserError(
                "An exported model takes tiles of the one size that it was exported for, "
                f"{own.tile_px}. Received --tile-size {tiling.tile_px or 'whole'}; leave it out, "
                "or export again with another --tile."
            )
        self._tiling = dataclasses.replace(tiling, exact=True) if own.exact else tiling

    @property
    def device(self) -> Any:
        """Where the engine computes: torch's device, or its name where torch is not needed."""
        return self.engine.device

    @property
    def precision(self) -> Any:
        """What the engine computes with: a `Precision` of the eager engine, or its name."""
        return self.engine.precision

    @property
    def model(self) -> "torch.nn.Module":
        """The eager engine's model, in evaluation mode.

        Raises:
            UserError: Another engine runs an exported file.
        """
        if hasattr(self.engine, "model"):
            return self.engine.model
        raise UserError(
            "The model as a module of torch is there with the eager engine only. Received one of "
            f"{self.engine.name}; load the weights that were exported."
        )

    @property
    def merge_name(self) -> str:
        """What sizes photos and merges their tiles; count models are fitted to one way."""
        return self.sizing.merge_name

    @property
    def identity(self) -> str:
        """Hash of what decides the answers: weights, config, and all options but the rule's."""
        return digest(
            [
                self._weights_sha256,
                self._loaded.config_digest,
                dataclasses.asdict(self.tiling),
                dataclasses.asdict(self.sizing),
                dataclasses.asdict(self.merge),
                self.engine.name,
                str(self.device).partition(":")[0],
                str(self.precision),
                dataclasses.asdict(self.optimizations),
            ]
        )

    @functools.cached_property
    def _weights_sha256(self) -> str:
        return file_sha256(self._loaded.weights)

    def __call__(
        self, photos: Photo | Iterable[Photo], *, progress: Progress | None = None
    ) -> "Instances | list[Instances]":
        """Detect lesions.

        Args:
            photos: A path, a file's bytes, a PIL image, or an array (H, W, 3) uint8 in BGR; or a
                list, tuple or generator of such.
            progress: Called after each batch of tiles with how many are done, and of how many.

        Returns:
            On the CPU, `pred_boxes` in the photo's own pixels (upright, where a file says how it
            was held), `scores` from 0 to 1 and `pred_classes`, best first, down to the model's
            lowest score; a list of them for several photos. Without detectron2 they are
            `acnet.photos.instances.PlainInstances`, which hold arrays of numpy.

        Raises:
            UnreadableFileError: A file is no picture, or damaged.
            ValueError: It is no photo, or an array of another kind.
        """
        if isinstance(photos, list | tuple | Iterator):
            return [self(photo, progress=progress) for photo in photos]
        image = as_bgr(photos)
        found = self.detect(image, progress=progress)
        return to_instances(image.shape[:2], found.boxes_xyxy, found.scores, found.classes)

    def count(self, photo: Photo) -> PhotoCount:
        """Count a photo's lesions; a count model also gives interval and grade, or why not."""
        image = as_bgr(photo)
        return self.rule(self.detect(image).scores.tolist(), photo_traits(image))

    def detect(self, photo_bgr: np.ndarray, *, progress: Progress | None = None) -> TileDetections:
        """Detect the lesions of one photo, (H, W, 3) uint8 in BGR, as arrays of numpy."""
        return see(photo_bgr, self.sizing, lambda seen: self._detect_at_size(seen, progress))

    def _detect_at_size(self, photo_bgr: np.ndarray, progress: Progress | None) -> TileDetections:
        image_hw = photo_bgr.shape[:2]
        tiles = self.tiling.tiles(image_hw)
        parts = self.tiling.parts(tiles)
        found = []
        for chosen, batch in tile_batches(photo_bgr, tiles, self.tiling.batch_size):
            found += self._detect_batch(batch, None if parts is None else parts[chosen])
            if progress is not None:
                progress(len(found), len(tiles))
        detections = in_photo(found, tiles)
        if len(tiles) == 1:
            return detections
        return merge_tiles(detections, tiles, image_hw, self.merge)

    def detect_whole(
        self, images: list[np.ndarray], parts_xyxy: Sequence[np.ndarray] | None = None
    ) -> "list[Instances]":
        """Detect lesions in pictures as they are, in one batch: the model's own output, on the CPU.

        This is what a tile goes through; call the predictor itself for photos.

        Args:
            images: (H, W, 3) uint8 in BGR; of one size, or the smaller ones are padded.
            parts_xyxy: For each picture the part that it answers for, in its pixels; None for all.
        """
        found = self._detect_batch(images, parts_xyxy)
        pairs = zip(images, found, strict=True)
        return [to_instances(image.shape[:2], *arrays) for image, arrays in pairs]

    def _detect_batch(
        self, images: list[np.ndarray], parts_xyxy: Sequence[np.ndarray] | None
    ) -> list[Found]:
        return self.engine.detect([self._prepare(image) for image in images], parts_xyxy)

    @property
    def has_saliency(self) -> bool:
        """Whether there is a mask attention to look at (MAMA); exported files have none."""
        return hasattr(self.engine, "model") and hasattr(self.model.backbone, "saliency")

    def saliency(
        self, photo: Photo, *, progress: Progress | None = None, photo_size_px: int | None = None
    ) -> np.ndarray:
        """Show where the mask attention expects lesions.

        Args:
            photo, progress: As for a call, but one photo.
            photo_size_px: Long side at which the photo is seen, where a prediction chose it.

        Returns:
            (h, w) float32 in [0, 1] over the whole photo: of the size at which the model saw it,
            or, where it is cut into tiles, one value for about 8 x 8 pixels.

        Raises:
            ValueError: The model has no mask attention.
        """
        if not self.has_saliency:
            raise ValueError(
                "Saliency is what the mask attention (MAMA) computes. Received a model without it, "
                "or an exported one; check has_saliency first."
            )
        image = as_bgr(photo)
        if photo_size_px is None and self.sizing.follows:
            photo_size_px = self.detect(image).photo_size_px
        image = resize(image, photo_size_px or self.sizing.first(image.shape[:2]))
        tiles = self.tiling.tiles(image.shape[:2])
        maps = (
            one
            for _, batch in tile_batches(image, tiles, self.tiling.batch_size)
            for one in self.engine.saliency([self._prepare(picture) for picture in batch])
        )
        if len(tiles) == 1:
            return next(maps)
        return blend_saliency(maps, tiles, image.shape[:2], progress=progress)

    def _prepare(self, image: np.ndarray) -> dict:
        """Make the dict that detectron2's models take of a picture."""
        height, width = image.shape[:2]
        if self._loaded.input_format == "RGB":
            image = image[:, :, ::-1]
        if self._loaded.resize is not None:
            image = self._loaded.resize(image)
        chw = np.ascontiguousarray(image.transpose(2, 0, 1))
        return {"image": chw, "height": height, "width": width}
