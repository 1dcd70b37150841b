"""Padding, batches and parts around a session that answers with what it was asked."""

import dataclasses

import numpy as np
import pytest
import torch

from acnet.engine.precision import Precision
from acnet.errors import UserError
from acnet.inference.engines.exported import ExportedEngine
from tests.export.test_contents import SETTINGS

TILE = SETTINGS.tile_px
DECAY = {
    "method": "linear",
    "iou_threshold": 0.3,
    "sigma": 0.5,
    "score_floor": 0.01,
    "max_detections": 2,
}


class Echo:
    """Finds one box in each tile, its part, and another without a score."""

    name = "echo"
    device = torch.device("cpu")
    precision = Precision("cpu", None)

    def __init__(self):
        self.calls = []

    def run(self, images, sizes_hw, parts_xyxy):
        self.calls.append((images.clone(), sizes_hw.clone(), parts_xyxy.clone()))
        boxes = torch.stack([parts_xyxy, torch.zeros_like(parts_xyxy)], dim=1)
        scores = torch.tensor([0.5, -1.0]).repeat(len(images), 1)
        return boxes, scores, torch.zeros(len(images), 2, dtype=torch.int64)


def picture(height: int, width: int, value: int = 7) -> dict:
    image = torch.full((3, height, width), value, dtype=torch.uint8)
    return {"image": image, "height": height, "width": width}


def test_pictures_are_padded_to_the_tile_and_come_with_their_size():
    session = Echo()
    found = ExportedEngine(session, SETTINGS).detect([picture(TILE, TILE), picture(50, 80)])
    ((images, sizes_hw, parts_xyxy),) = session.calls
    assert images.shape == (2, 3, TILE, TILE)
    assert images[1, :, :50, :80].eq(7).all()
    assert images[1].sum() == 3 * 50 * 80 * 7  # and nothing else
    assert sizes_hw.tolist() == [[TILE, TILE], [50, 80]]
    assert parts_xyxy.tolist() == [[0, 0, TILE, TILE], [0, 0, 80, 50]]
    assert [len(one) for one in found] == [1, 1]  # the places without a score are none
    assert found[1].image_size == (50, 80)
    assert found[1].pred_boxes.tensor.tolist() == [[0, 0, 80, 50]]


def test_boxes_and_parts_of_resized_pictures_are_in_the_photos_pixels():
    session = Echo()
    one = {**picture(40, 60), "height": 80, "width": 120}
    part = np.array([20.0, 10.0, 100.0, 80.0])
    (found,) = ExportedEngine(session, SETTINGS).detect([one], [part])
    assert session.calls[0][2].tolist() == [[10, 5, 50, 40]]
    assert found.pred_boxes.tensor.tolist() == [part.tolist()]


def test_a_fixed_batch_is_filled_up():
    session = Echo()
    settings = dataclasses.replace(SETTINGS, batch=2)
    pictures = [picture(10, 20 + index) for index in range(3)]
    found = ExportedEngine(session, settings).detect(pictures, [np.array([0, 0, 5, 5])] * 3)
    assert [call[0].shape[0] for call in session.calls] == [2, 2]
    assert session.calls[1][1].tolist() == [[10, 22], [0, 0]]
    assert [one.image_size for one in found] == [(10, 20), (10, 21), (10, 22)]
    assert ExportedEngine(session, settings).detect([]) == []


def test_soft_nms_outside_is_done_here():
    class Candidates(Echo):
        def run(self, images, sizes_hw, parts_xyxy):
            # IoU 1/3: the second keeps two thirds of its score, and the third is one too many.
            boxes = torch.tensor([[[5.0, 0, 15, 10], [0, 0, 10, 10], [40, 40, 50, 50]]])
            return boxes, torch.tensor([[0.6, 0.9, 0.1]]), torch.zeros(1, 3, dtype=torch.int64)

    settings = dataclasses.replace(SETTINGS, soft_nms="outside", decay=DECAY)
    (found,) = ExportedEngine(Candidates(), settings).detect([picture(60, 60)])
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.4]))
    assert found.pred_boxes.tensor[0].tolist() == [0, 0, 10, 10]


def test_a_picture_that_is_too_large_is_refused():
    with pytest.raises(UserError, match=r"at most 96 pixels a side.* Received 97x20 pixels"):
        ExportedEngine(Echo(), SETTINGS).detect([picture(97, 20)])
