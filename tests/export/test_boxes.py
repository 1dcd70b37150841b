"""Boxes of fixed sizes, against detectron2's own."""

import math

import torch
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.structures import Boxes

from acnet.export.boxes import centred_in, clip, decode

CLAMP = math.log(1000 / 16)


def random_boxes(*shape: int) -> torch.Tensor:
    corners = torch.rand(*shape, 2) * 100
    return torch.cat([corners, corners + torch.rand(*shape, 2) * 50], dim=-1)


def test_decode_by_hand():
    # A box of 10 x 20 around (15, 30): a tenth of its width to the right, twice as wide, as high.
    deltas = torch.tensor([[[0.1, 0.0, math.log(2), 0.0]]])
    boxes = torch.tensor([[[10.0, 20.0, 20.0, 40.0]]])
    found = decode(deltas, boxes, (1.0, 1.0, 1.0, 1.0), CLAMP)
    torch.testing.assert_close(found, torch.tensor([[[[6.0, 20.0, 26.0, 40.0]]]]))


def test_decode_is_detectron2s_to_the_bit():
    boxes = random_boxes(2, 7)
    deltas = torch.randn(2, 7, 3 * 4) * 20  # some beyond the clamp
    weights = (10.0, 10.0, 5.0, 5.0)
    transform = Box2BoxTransform(weights, CLAMP)
    theirs = transform.apply_deltas(deltas.flatten(0, 1), boxes.flatten(0, 1))
    ours = decode(deltas, boxes, weights, CLAMP)
    assert torch.equal(ours, theirs.view(2, 7, 3, 4))


def test_clip_takes_each_image_by_its_own_size():
    boxes = torch.tensor([-5.0, -5.0, 50.0, 50.0]).repeat(2, 3, 1)
    sizes_hw = torch.tensor([[20.0, 30.0], [60.0, 10.0]])
    found = clip(boxes, sizes_hw)
    for one, size in zip(found, [(20, 30), (60, 10)], strict=True):
        theirs = Boxes(torch.tensor([[-5.0, -5.0, 50.0, 50.0]] * 3))
        theirs.clip(size)
        assert torch.equal(one, theirs.tensor)
    assert torch.equal(clip(boxes[:, :, None], sizes_hw)[:, :, 0], found)


def test_a_centre_on_the_border_of_a_part_is_in_it():
    boxes = torch.tensor([[[0.0, 0.0, 20.0, 20.0], [1.0, 0.0, 20.0, 20.0]]])
    parts = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    assert centred_in(boxes, parts).tolist() == [[True, False]]
