"""Detections as detectron2's `Instances` where it is installed, elsewhere as a class like it."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from acnet.errors import UserError
from acnet.photos.results import rows_of


class PlainBoxes:
    """Boxes (N, 4) XYXY as `detectron2.structures.Boxes` has them, in numpy."""

    def __init__(self, tensor: np.ndarray):
        self.tensor = np.asarray(tensor, np.float32).reshape(-1, 4)

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, chosen: Any) -> "PlainBoxes":
        return PlainBoxes(self.tensor[chosen])

    def area(self) -> np.ndarray:
        """Return (N,) areas."""
        return (self.tensor[:, 2:] - self.tensor[:, :2]).prod(axis=1)

    def get_centers(self) -> np.ndarray:
        """Return (N, 2) centres, x and y."""
        return (self.tensor[:, :2] + self.tensor[:, 2:]) / 2


class PlainInstances:
    """Detections as `detectron2.structures.Instances` has them, in numpy.

    Example:
        >>> found = PlainInstances((8, 8), scores=np.array([0.9, 0.1]))
        >>> len(found[found.scores > 0.5])
        1
    """

    def __init__(self, image_size: tuple[int, int], **fields: Any):
        self.image_size = image_size
        self.__dict__.update(fields)

    def get_fields(self) -> Mapping[str, Any]:
        """Return the values by name."""
        return {name: value for name, value in vars(self).items() if name != "image_size"}

    def has(self, name: str) -> bool:
        """Tell whether there is such a field."""
        return name in self.get_fields()

    def __len__(self) -> int:
        return len(next(iter(self.get_fields().values()), ()))

    def __getitem__(self, chosen: Any) -> "PlainInstances":
        """Return some of the detections, by a mask, indices, a slice or one index."""
        chosen = slice(chosen, chosen + 1 or None) if isinstance(chosen, int) else chosen
        chosen_fields = {name: value[chosen] for name, value in self.get_fields().items()}
        return PlainInstances(self.image_size, **chosen_fields)


def to_instances(
    image_hw: tuple[int, int], boxes_xyxy: np.ndarray, scores: np.ndarray, classes: np.ndarray
) -> Any:
    """Return detections of a picture with `pred_boxes`, `scores` and `pred_classes`.

    They are (N, 4) float32, (N,) and (N,) int64.
    """
    if find_spec("detectron2") is None or find_spec("torch") is None:
        fields = {"scores": scores, "pred_classes": classes}
        return PlainInstances(image_hw, pred_boxes=PlainBoxes(boxes_xyxy), **fields)
    import torch
    from detectron2.structures import Boxes, Instances

    instances = Instances(image_hw)
    instances.pred_boxes = Boxes(torch.from_numpy(boxes_xyxy))
    instances.scores = torch.from_numpy(scores)
    instances.pred_classes = torch.from_numpy(classes)
    return instances


def to_coco(found: Any, image_id: int = 1) -> list[dict[str, Any]]:
    """Return what a predictor found in a photo as COCO results, `category_id` being from 1.

    Example:
        >>> box, score = np.array([[2, 3, 6, 9]], np.float32), np.array([0.5])
        >>> to_coco(to_instances((8, 9), box, score, np.array([0])), image_id=7)
        [{'image_id': 7, 'category_id': 1, 'bbox': [2.0, 3.0, 4.0, 6.0], 'score': 0.5}]
    """
    return [{"image_id": image_id, **row} for row in rows_of(*_arrays(found))]


def to_supervision(found: Any, class_names: Sequence[str] = ()) -> Any:
    """Return what a predictor found in a photo as `supervision.Detections`.

    Its `class_names` become `data["class_name"]`, which labels are made of.

    Raises:
        UserError: The package supervision is missing.

    Example:
        detections = acnet.to_supervision(predictor("photo.jpg"), predictor.class_names)
        detections = detections[detections.confidence > predictor.rule.threshold]
    """
    try:
        from supervision import Detections
    except ModuleNotFoundError as error:
        if error.name != "supervision":
            raise
        raise UserError(
            "to_supervision gives detections to supervision, so that must be installed, and acnet "
            "does not install it. Received an environment without it: pip install supervision."
        ) from error
    boxes_xyxy, scores, classes = _arrays(found)
    named = {"class_name": np.array(class_names)[classes]} if len(class_names) else {}
    return Detections(xyxy=boxes_xyxy, confidence=scores, class_id=classes, data=named)


def _arrays(found: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    columns = (found.pred_boxes.tensor, found.scores, found.pred_classes)
    return tuple(map(np.asarray, columns))
