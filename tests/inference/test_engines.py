"""Padding, batches and parts around a session that answers with what it was asked."""

import dataclasses

import numpy as np
import pytest

from acnet.errors import UserError
from acnet.inference.engines import ExportedEngine
from tests.export.test_metadata import SETTINGS

TILE = SETTINGS.tile_px


class Echo:
    """Finds one box in each tile, its part, and another without a score."""

    name = "echo"
    device = "cpu"
    precision = "float32"

    def __init__(self, answer=None):
        self.answer, self.calls = answer, []

    def run(self, inputs, seconds):
        images, sizes_hw, parts_xyxy = inputs.values()
        self.calls.append((images.copy(), sizes_hw.copy(), parts_xyxy.copy()))
        if self.answer is not None:
            return self.answer
        boxes = np.stack([parts_xyxy, np.zeros_like(parts_xyxy)], axis=1)
        scores = np.tile(np.array([0.5, -1.0], np.float32), (len(images), 1))
        return [boxes, scores, np.zeros((len(images), 2), np.int64)]


def engine(session, settings=SETTINGS):
    return ExportedEngine(session, settings, num_classes=1)


def picture(height: int, width: int, value: int = 7) -> dict:
    image = np.full((3, height, width), value, np.uint8)
    return {"image": image, "height": height, "width": width}


def test_pictures_are_padded_to_the_tile_and_come_with_their_size():
    session = Echo()
    found = engine(session).detect([picture(TILE, TILE), picture(50, 80)])
    ((images, sizes_hw, parts_xyxy),) = session.calls
    assert images.shape == (2, 3, TILE, TILE)
    assert (images[1, :, :50, :80] == 7).all()
    assert images[1].sum() == 3 * 50 * 80 * 7  # and nothing else
    assert sizes_hw.tolist() == [[TILE, TILE], [50, 80]]
    assert parts_xyxy.tolist() == [[0, 0, TILE, TILE], [0, 0, 80, 50]]
    assert [len(scores) for _, scores, _ in found] == [1, 1]  # places without a score are none
    assert found[1][0].tolist() == [[0, 0, 80, 50]]


def test_boxes_and_parts_of_resized_pictures_are_in_the_photos_pixels():
    session = Echo()
    one = {**picture(40, 60), "height": 80, "width": 120}
    part = np.array([20.0, 10.0, 100.0, 80.0])
    (found,) = engine(session).detect([one], [part])
    assert session.calls[0][2].tolist() == [[10, 5, 50, 40]]
    assert found[0].tolist() == [part.tolist()]


def test_a_fixed_batch_is_filled_up():
    session = Echo()
    settings = dataclasses.replace(SETTINGS, batch=2)
    pictures = [picture(10, 20 + index) for index in range(3)]
    found = engine(session, settings).detect(pictures, [np.array([0, 0, 5, 5])] * 3)
    assert [call[0].shape[0] for call in session.calls] == [2, 2]
    assert session.calls[1][1].tolist() == [[10, 22], [0, 0]]
    assert len(found) == 3
    assert engine(session, settings).detect([]) == []


def test_a_picture_that_is_too_large_is_refused():
    with pytest.raises(UserError, match=r"at most 96 pixels a side.* Received 97x20 pixels"):
        engine(Echo()).detect([picture(97, 20)])


def outputs(boxes=(1, 2, 4), scores=(1, 2), classes=(1, 2), *, value=0.5, label=0):
    """What a file gives for one tile, of these shapes."""
    return [
        np.full(boxes, value, np.float32),
        np.full(scores, 0.5, np.float32),
        np.full(classes, label, np.int64),
    ]


FAULTS = {
    "fewer boxes than scores": outputs(boxes=(1, 1, 4)),
    "another number of tiles": outputs((3, 2, 4), (3, 2), (3, 2)),
    "too many places": outputs((1, 10**6, 4), (1, 10**6), (1, 10**6)),
    "numbers without axes": outputs((), (), ()),
    "boxes that are no numbers": outputs(value=np.nan),
    "endless boxes": outputs(value=np.inf),
    "scores above 1": [outputs()[0], np.full((1, 2), 7, np.float32), outputs()[2]],
    "scores that are no numbers": [outputs()[0], np.full((1, 2), np.nan), outputs()[2]],
    "texts": [outputs()[0], outputs()[1], np.full((1, 2), "a")],
    "another class": outputs(label=1),
    "a class below zero": outputs(label=-1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_no_detector_gives_is_refused(fault):
    with pytest.raises(UserError, match=r"which fails \(.*\); make the file anew"):
        engine(Echo(FAULTS[fault])).detect([picture(50, 50)])


def test_an_error_of_a_runtime_is_one_line():
    class Failing(Echo):
        def run(self, inputs, seconds):
            raise RuntimeError("Non-zero status code\nwhile running Loop")

    with pytest.raises(UserError, match=r"fails \(Non-zero status code while running Loop\)"):
        engine(Failing()).detect([picture(50, 50)])
