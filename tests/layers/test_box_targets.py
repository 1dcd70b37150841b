"""Matching, sampling, offsets and their loss for a whole batch, against detectron2's."""

import math

import pytest
import torch
from detectron2.modeling.box_regression import Box2BoxTransform, _dense_box_regression_loss
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.sampling import subsample_labels
from detectron2.structures import Boxes, pairwise_iou

from acnet.layers import box_targets
from acnet.layers.box_targets import box_loss, decode, encode, match, padded, sample

RPN_MATCHER = Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True)
HEAD_MATCHER = Matcher([0.5], [0, 1])
CLAMP = math.log(1000 / 16)
TRANSFORMS = [
    Box2BoxTransform(weights, CLAMP)
    for weights in [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0), (10.0, 8.0, 5.0, 4.0)]
]


def boxes_on_a_grid(count: int) -> torch.Tensor:
    """Boxes on few places, so that many overlap equally much."""
    corners = torch.randint(0, 12, (count, 2)) * 4.0
    return torch.cat([corners, corners + torch.randint(1, 6, (count, 2)) * 4.0], dim=1)


def test_padded_by_hand():
    rows, is_real = padded([torch.tensor([[1.0, 2]]), torch.zeros(0, 2)])
    assert rows.tolist() == [[[1, 2], [0, 0]], [[0, 0], [0, 0]]]
    assert is_real.tolist() == [[True, False], [False, False]]
    assert padded([torch.tensor([5, 6])])[0].tolist() == [[5, 6, 0]]


@pytest.mark.parametrize("pairs", [1, 2**20])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("matcher", [RPN_MATCHER, HEAD_MATCHER, Matcher([0.2, 0.5], [0, -1, 1])])
def test_matches_are_those_of_detectron2(matcher, shared, pairs, monkeypatch):
    monkeypatch.setattr(box_targets, "_MOST_PAIRS", pairs)
    objects = [boxes_on_a_grid(count) for count in (5, 0, 9)]
    boxes = torch.stack([boxes_on_a_grid(80) for _ in objects])
    boxes = boxes[:1] if shared else boxes
    matches, labels = match(padded(objects)[0], boxes, matcher)
    for n, some in enumerate(objects):
        overlaps = pairwise_iou(Boxes(some), Boxes(boxes[0 if shared else n]))
        expected_matches, expected_labels = matcher(overlaps)
        assert labels[n].equal(expected_labels)
        assert matches[n].equal(expected_matches)


def test_an_object_that_no_box_overlaps_has_none():
    # detectron2 would give it every box, since all overlap it equally much.
    objects = torch.tensor([[[90.0, 90, 99, 99], [0, 0, 5, 5]]])
    boxes = torch.tensor([[[0.0, 0, 4, 4], [20, 20, 30, 30]]])
    assert match(objects, boxes, RPN_MATCHER)[1].tolist() == [[1, 0]]


@pytest.mark.parametrize("positive_fraction", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("count", [0, 8, 30, 200])
def test_samples_are_as_many_as_those_of_detectron2(count, positive_fraction):
    labels = torch.stack(
        [torch.randint(-1, 2, (50,)), torch.zeros(50), torch.ones(50), -torch.ones(50)]
    )
    labels[1, :3] = 1
    index, is_sampled = sample(labels == 1, labels == 0, count, positive_fraction)
    for one, chosen, is_chosen in zip(labels, index, is_sampled, strict=True):
        chosen = chosen[is_chosen].tolist()
        positives, negatives = subsample_labels(one, count, positive_fraction, 0)
        assert len(set(chosen)) == len(chosen)
        assert one[chosen].tolist() == [1] * len(positives) + [0] * len(negatives)


def test_every_box_is_sampled_equally_often():
    is_positive = torch.arange(12).expand(4000, -1) < 5
    index, is_sampled = sample(is_positive, ~is_positive, 6, 0.5)  # 3 of 5 and 3 of 7
    assert is_sampled.all()
    often = index.flatten().bincount(minlength=12) / 4000
    expected = torch.tensor([3 / 5] * 5 + [3 / 7] * 7)
    # Four standard deviations of a share in 4,000 draws.
    torch.testing.assert_close(often, expected, rtol=0, atol=4 * (0.25 / 4000) ** 0.5)


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
