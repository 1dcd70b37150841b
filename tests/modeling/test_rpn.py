"""`BestFirstRPN` gives detectron2's proposals, box by box, and its losses."""

import pytest
import torch
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.proposal_generator import RPN
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage

from acnet.modeling import BestFirstRPN, Float32RPNHead

SIZES = [(64, 80), (50, 96)]


def _rpn(kind: type[RPN], levels: int = 1, **kwargs) -> RPN:
    torch.manual_seed(0)
    options = {"pre_nms_topk": (60, 40), "post_nms_topk": (30, 20), "nms_thresh": 0.7}
    options["batch_size_per_image"] = 16
    options["anchor_matcher"] = Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True)
    return kind(
        in_features=[f"p{3 + level}" for level in range(levels)],
        head=Float32RPNHead(in_channels=4, num_anchors=3, conv_dims=[4]),
        anchor_generator=DefaultAnchorGenerator(
            sizes=[[16 * 2**level] for level in range(levels)],
            aspect_ratios=[0.5, 1.0, 2.0],
            strides=[8 * 2**level for level in range(levels)],
        ),
        box2box_transform=Box2BoxTransform(weights=(1.0, 1.0, 1.0, 1.0)),
        positive_fraction=0.5,
        **{**options, **kwargs},
    )


def _predictions(levels: int = 1) -> tuple[list, list, list]:
    """Anchors, logits (2, R) and deltas (2, R, 4) of each level, with ties and wide boxes."""
    features = [torch.zeros(2, 4, 12 // 2**level, 12 // 2**level) for level in range(levels)]
    anchors = _rpn(RPN, levels).anchor_generator(features)
    generator = torch.Generator().manual_seed(0)
    counts = [len(one) for one in anchors]
    logits = [torch.randint(-9, 9, (2, n), generator=generator) / 4 for n in counts]
    deltas = [torch.randn(2, n, 4, generator=generator) / 2 for n in counts]
    return anchors, logits, deltas


def _assert_same(predictions, levels: int = 1, training: bool = False, **kwargs) -> list:
    ours, theirs = (
        _rpn(kind, levels, **kwargs).train(training).predict_proposals(*predictions, SIZES)
        for kind in (BestFirstRPN, RPN)
    )
    for one, other in zip(ours, theirs, strict=True):
        assert one.image_size == other.image_size
        assert torch.equal(one.proposal_boxes.tensor, other.proposal_boxes.tensor)
        assert torch.equal(one.objectness_logits, other.objectness_logits)
    return ours


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kwargs", [{}, {"pre_nms_topk": (9999, 9999)}, {"nms_thresh": 0.3}])
def test_one_level(training, kwargs):
    ours = _assert_same(_predictions(), training=training, **kwargs)
    assert all(len(one) > 5 for one in ours)


def test_several_levels():
    anchors, logits, deltas = _predictions(levels=2)
    # Without ties: detectron2 orders those of different levels by the luck of a sort.
    logits = [one + torch.rand(one.shape) / 8 for one in logits]
    _assert_same((anchors, logits, deltas), levels=2)


def test_boxes_outside_the_picture_are_dropped():
    anchors, logits, deltas = _predictions()
    deltas[0][0, ::2, 0] = 100  # far to the right: clipped to no width
    ours = _assert_same((anchors, logits, deltas), min_box_size=2.0)
    assert all(bool(one.proposal_boxes.nonempty(2.0).all()) for one in ours)


def test_predictions_that_are_not_finite_are_dropped_and_end_a_training():
    anchors, logits, deltas = _predictions()
    logits[0][0, 3] = torch.inf
    deltas[0][1, ::3] = torch.nan
    _assert_same((anchors, logits, deltas))
    deltas[0][:] = torch.nan
    assert [len(one) for one in _assert_same((anchors, logits, deltas))] == [0, 0]
    with pytest.raises(FloatingPointError, match="Training has diverged"):
        _rpn(BestFirstRPN).train().predict_proposals(anchors, logits, deltas, SIZES)


def test_from_features():
    images = ImageList(torch.zeros(2, 3, 96, 96), SIZES)
    features = {"p3": torch.randn(2, 4, 12, 12)}
    ours, theirs = (_rpn(kind).eval()(images, features)[0] for kind in (BestFirstRPN, RPN))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one.proposal_boxes.tensor, other.proposal_boxes.tensor)


def _truth(*boxes_of_images) -> list[Instances]:
    truth = []
    for size, boxes in zip(SIZES, boxes_of_images, strict=True):
        boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        truth.append(Instances(size, gt_boxes=Boxes(boxes)))
    return truth


ONE, TWO = [[4, 6, 30, 28]], [[8, 0, 40, 20], [50, 10, 90, 45]]


@pytest.mark.parametrize(
    ("levels", "options"),
    [
        (1, {}),
        (2, {"smooth_l1_beta": 1 / 9}),
        (1, {"box_reg_loss_type": "giou", "loss_weight": {"loss_rpn_loc": 3.0}}),
        (1, {"anchor_boundary_thresh": 0}),
        (1, {"anchor_matcher": Matcher([0.1, 0.4], [0, -1, 1])}),
    ],
)
@pytest.mark.parametrize("boxes", [(TWO, ONE), (TWO, []), ([], [])])
def test_losses_are_detectron2s_where_every_anchor_is_sampled(levels, options, boxes):
    images = ImageList(torch.zeros(2, 3, 96, 96), SIZES)
    features = {f"p{3 + n}": torch.randn(2, 4, 12 // 2**n, 12 // 2**n) for n in range(levels)}
    found = []
    for kind in (BestFirstRPN, RPN):
        rpn = _rpn(kind, levels, batch_size_per_image=10_000, **options).train()
        with EventStorage(0) as storage:
            losses = rpn(images, features, _truth(*boxes))[1]
        sum(losses.values()).backward()
        found.append((losses, [p.grad for p in rpn.parameters()], storage.latest()))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("normalizer", ["sampled", "positives"])
def test_losses_are_detectron2s_of_the_same_samples(normalizer):
    anchors, logits, deltas = _predictions()
    ours, theirs = _rpn(BestFirstRPN, box_normalizer=normalizer), _rpn(RPN)
    labels, boxes = ours.label_and_sample_anchors(anchors, _truth(TWO, ONE))
    assert [int((one >= 0).sum()) for one in labels] == [16, 16]
    positives = sum(int((one == 1).sum()) for one in labels)
    assert 0 < positives < 16
    with EventStorage(0):
        found = ours.losses(anchors, logits, labels, deltas, boxes)
        expected = theirs.losses(anchors, logits, labels, deltas, boxes)
    if normalizer == "positives":  # N_reg of Eq. (6), in the place of 2 * 16
        expected["loss_rpn_loc"] *= 32 / positives
    torch.testing.assert_close(found, expected)
