"""ACNet as a detection model of SAHI (https://github.com/obss/sahi), 0.12.

    from sahi.predict import get_sliced_prediction
    from acnet.integrations.sahi import ACNetDetectionModel

    model = ACNetDetectionModel(model_path="model.safetensors")
    result = get_sliced_prediction("photo.jpg", model, slice_height=640, slice_width=640)

`acnet.load` does the same work in less time; this is for pipelines that are built on SAHI.
"""

from typing import TYPE_CHECKING

import numpy as np

from acnet.errors import UserError
from acnet.inference.predictor import Predictor, load
from acnet.photos.grid import TilingOptions

if TYPE_CHECKING:
    from detectron2.structures import Instances

try:
    from sahi.models.base import DetectionModel
    from sahi.prediction import ObjectPrediction
except ModuleNotFoundError as error:
    if error.name.split(".")[0] != "sahi":
        raise
    # Importing this module is harmless; making the model is refused.
    DetectionModel = ObjectPrediction = object

Shifts = list[list[int | float]]


class ACNetDetectionModel(DetectionModel):
    """A `sahi.models.base.DetectionModel` around `acnet.Predictor`.

    Slices go through the model as they are, several at once with SAHI's `batch_size`; SAHI merges.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Take what `DetectionModel` takes.

        That is `model`, a predictor; or `model_path`, the weights, with `config_path`, a config's
        name or file, where it is not in or beside them. `confidence_threshold` is 0.3 by default.
        """
        if DetectionModel is object:
            raise UserError(
                "acnet.integrations.sahi gives ACNet to SAHI, so SAHI must be installed, and acnet "
                "does not install it. Received an environment without it: pip install "
                "'sahi>=0.12,<0.13'."
            )
        self._found: list[Instances] = []
        super().__init__(*args, **kwargs)

    def load_model(self) -> None:
        """Build the predictor from `model_path`, and `config_path` where that is given."""
        if self.model_path is None:
            raise UserError(
                "A detection model needs weights. Received neither model_path nor model; give the "
                "path of a bundle, checkpoint or exported file, or model=acnet.load(...)."
            )
        options = {"device": str(self.device), "tiling": TilingOptions(tile_px=None)}
        self.set_model(load(self.model_path, config=self.config_path, **options))

    def set_model(self, model: Predictor, **kwargs: object) -> None:
        """Use a predictor that is there already, without its own tiling and merging."""
        self.model = model
        self.category_mapping = {str(i): name for i, name in enumerate(model.class_names)}

    @property
    def category_names(self) -> list[str]:
        """Names of the classes, in order."""
        return list(self.category_mapping.values())

    @property
    def num_categories(self) -> int:
        """How many classes there are."""
        return len(self.category_mapping)

    def perform_inference(self, image: np.ndarray) -> None:
        """Detect in one slice, (H, W, 3) uint8 in RGB."""
        self.perform_batch_inference([image])

    def perform_batch_inference(self, images: list[np.ndarray]) -> None:
        """Detect in several slices at once, each (H, W, 3) uint8 in RGB."""
        self._found = self.model.detect_whole([image[:, :, ::-1] for image in images])
        self._original_predictions = self._found

    def _create_object_prediction_list_from_original_predictions(
        self,
        shift_amount_list: Shifts | None = None,
        full_shape_list: list[list[int | float]] | None = None,
    ) -> None:
        """Give SAHI the detections of the last inference.

        It says each slice's left and top in the photo, and the photo's height and width.
        """
        shifts = _one_each(shift_amount_list or [0, 0], len(self._found))
        shapes = _one_each(full_shape_list or [None], len(self._found))
        self._object_prediction_list_per_image = [
            self._object_predictions(found, shift, shape)
            for found, shift, shape in zip(self._found, shifts, shapes, strict=True)
        ]

    def _object_predictions(
        self, found: "Instances", shift: list[int | float], shape: list[int | float] | None
    ) -> list[ObjectPrediction]:
        kept = found[found.scores >= self.confidence_threshold]
        columns = (kept.pred_boxes.tensor, kept.scores, kept.pred_classes)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [
            ObjectPrediction(
                bbox=box,
                score=score,
                category_id=category,
                category_name=self.category_mapping[str(category)],
                shift_amount=shift,
                full_shape=shape,
            )
            for box, score, category in rows
        ]


def _one_each(values: list, count: int) -> list:
    """SAHI gives a list for each slice, or, for one slice, the numbers alone."""
    return values if isinstance(values[0], (list, tuple)) or values == [None] else [values] * count
