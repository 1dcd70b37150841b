"""Detection in tiles that answer for a part of themselves."""

from collections.abc import Sequence

import numpy as np
import torch
from detectron2.modeling.meta_arch import GeneralizedRCNN
from detectron2.structures import Instances


def detect(
    model: torch.nn.Module, inputs: list[dict], parts_xyxy: Sequence[np.ndarray] | None = None
) -> list[Instances]:
    """Run a detector of detectron2, with the box head on a part of each picture only.

    Backbone and RPN see the pictures whole. Of the proposals those whose centre lies elsewhere are
    left to the tiles there, before they cost anything: with tiles that overlap by half, three
    quarters of them.

    Args:
        model: in evaluation mode; a model without proposals answers for the whole picture.
        inputs: as detectron2's models take them.
        parts_xyxy: for each picture a box in its own pixels ("height", "width"); None: all of it.

    Returns:
        For each picture what was found.
    """
    if parts_xyxy is None or not isinstance(model, GeneralizedRCNN):
        return [output["instances"] for output in model(inputs)]
    images = model.preprocess_image(inputs)
    features = model.backbone(images.tensor)
    proposals, _ = model.proposal_generator(images, features)
    proposals = [
        one[_centred_in(one, scaled_part(part, picture, one.image_size))]
        for one, part, picture in zip(proposals, parts_xyxy, inputs, strict=True)
    ]
    found, _ = model.roi_heads(images, features, proposals)
    outputs = GeneralizedRCNN._postprocess(found, inputs, images.image_sizes)
    return [output["instances"] for output in outputs]


def scaled_part(part_xyxy: np.ndarray, picture: dict, input_hw: tuple[int, int]) -> np.ndarray:
    """Bring a part from a picture's pixels to those that the model sees.

    Args:
        part_xyxy: (4,).
        picture: its "height" and "width".
        input_hw: height and width that the model sees.
    """
    scale = np.array(input_hw[::-1]) / [picture["width"], picture["height"]]
    return part_xyxy * np.tile(scale, 2)


def _centred_in(proposals: Instances, part_xyxy: np.ndarray) -> torch.Tensor:
    """As `acnet.tiling.own_parts.centred_in`, without leaving the device."""
    centres = proposals.proposal_boxes.get_centers()
    left, top, right, bottom = part_xyxy.tolist()
    x, y = centres.unbind(dim=1)
    return (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
