"""Offsets of boxes and their loss, against detectron2's."""

import math

import pytest
import torch
from detectron2.modeling.box_regression import Box2BoxTransform, _dense_box_regression_loss

from acnet.layers.box_deltas import box_loss, decode, encode

CLAMP = math.log(1000 / 16)
TRANSFORMS = [
    Box2BoxTransform(weights, CLAMP)
    for weights in [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0), (10.0, 8.0, 5.0, 4.0)]
]


def random_boxes(*shape: int) -> torch.Tensor:
    corners = torch.rand(*shape, 2) * 100
    return torch.cat([corners, corners + 1 + torch.rand(*shape, 2) * 50], dim=-1)


def test_decode_by_hand():
    # A box of 10 x 20 around (15, 30): a tenth of its width to the right, twice as wide, as high.
    deltas = torch.tensor([[[0.1, 0.0, math.log(2), 0.0]]])
    boxes = torch.tensor([[[10.0, 20.0, 20.0, 40.0]]])
    found = decode(deltas, boxes, TRANSFORMS[0])
    torch.testing.assert_close(found, torch.tensor([[[[6.0, 20.0, 26.0, 40.0]]]]))
    torch.testing.assert_close(encode(boxes, found[:, :, 0], TRANSFORMS[0]), deltas)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_to_the_bit_as_detectron2(transform):
    boxes, targets = random_boxes(2, 7), random_boxes(2, 7)
    deltas = torch.randn(2, 7, 3 * 4) * 20  # some beyond the clamp
    theirs = transform.apply_deltas(deltas.flatten(0, 1), boxes.flatten(0, 1))
    assert torch.equal(decode(deltas, boxes, transform), theirs.view(2, 7, 3, 4))
    theirs = transform.get_deltas(boxes.flatten(0, 1), targets.flatten(0, 1))
    assert torch.equal(encode(boxes, targets, transform), theirs.view(2, 7, 4))


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize(
    ("kind", "beta"),
    [("smooth_l1", 0.0), ("smooth_l1", 1 / 9), ("giou", 0), ("diou", 0), ("ciou", 0)],
)
def test_loss_is_that_of_detectron2(transform, kind, beta):
    boxes, targets = random_boxes(30), random_boxes(2, 30)
    counts = torch.rand(2, 30) > 0.5
    deltas = (torch.randn(2, 30, 4) / 4).requires_grad_()
    theirs = _dense_box_regression_loss(
        [boxes], transform, [deltas], list(targets), counts, kind, beta
    )
    (expected,) = torch.autograd.grad(theirs, deltas)
    boxes = boxes.repeat(2, 1, 1)
    targets[~counts], boxes[~counts] = torch.nan, 0.0  # not to be looked at
    ours = box_loss(deltas, boxes, targets, counts, transform=transform, kind=kind, beta=beta)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, deltas)[0], expected)


@pytest.mark.parametrize("kind", ["smooth_l1", "giou"])
@pytest.mark.parametrize("count", [0, 3])
def test_without_a_row_that_counts(kind, count):
    deltas = torch.zeros(count, 4, requires_grad=True)
    counts = torch.zeros(count, dtype=torch.bool)
    boxes, nothing = random_boxes(count), torch.zeros(count, 4)
    loss = box_loss(deltas, boxes, nothing, counts, transform=TRANSFORMS[0], kind=kind)
    loss.backward()
    assert loss.item() == 0
    assert deltas.grad.abs().sum() == 0


def test_an_unknown_kind():
    rows = torch.zeros(1, 4)
    with pytest.raises(ValueError, match="Received 'l2'"):
        box_loss(rows, rows, rows, rows[:, 0] > 0, transform=TRANSFORMS[0], kind="l2")
