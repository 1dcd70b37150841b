"""Heads that stay in float32, and detections thinned out by Soft-NMS."""

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.proposal_generator.rpn import StandardRPNHead
from detectron2.modeling.roi_heads import FastRCNNConvFCHead, StandardROIHeads
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage

from acnet.layers import soft_nms
from acnet.modeling import Float32ROIPooler, Float32RPNHead, SoftNMSOutputLayers, SoftNMSROIHeads

POOLER = {"output_size": 4, "scales": (1 / 8,), "sampling_ratio": 2, "pooler_type": "ROIAlignV2"}
# 601.3 becomes 600 in bfloat16, whose grid is 4 wide there.
BOX = [Boxes(torch.tensor([[601.3, 401.7, 622.9, 419.2]]))]


def _ramp(dtype):
    """A map whose value is the column, so that a shifted box shows."""
    return torch.arange(80.0).expand(1, 1, 80, 80).to(dtype)


def test_boxes_keep_their_place_under_bfloat16():
    exact = ROIPooler(**POOLER)([_ramp(torch.float32)], BOX)
    with torch.autocast("cpu", torch.bfloat16):
        ours = Float32ROIPooler(**POOLER)([_ramp(torch.bfloat16)], BOX)
    assert ours.dtype == torch.bfloat16
    # Only the result is rounded: to a multiple of 0.5 at this height of the ramp.
    torch.testing.assert_close(ours.float(), exact, rtol=0, atol=0.25)


def test_in_float32_it_is_detectron2_s_pooler():
    maps = [_ramp(torch.float32)]
    ours = Float32ROIPooler(**POOLER)
    torch.testing.assert_close(ours(maps, BOX), ROIPooler(**POOLER)(maps, BOX))
    assert ours(maps, [Boxes(torch.zeros(0, 4))]).shape == (0, 1, 4, 4)


def test_rpn_head_predicts_in_float32():
    head = Float32RPNHead(in_channels=8, num_anchors=3, conv_dims=[8])
    features = [torch.randn(1, 8, 5, 6)]
    plain = StandardRPNHead(in_channels=8, num_anchors=3, conv_dims=[8])
    plain.load_state_dict(head.state_dict())
    for ours, theirs in zip(head(features), plain(features), strict=True):
        torch.testing.assert_close(ours[0], theirs[0])
    with torch.autocast("cpu", torch.bfloat16):
        logits, deltas = head(features)
    assert logits[0].dtype == deltas[0].dtype == torch.float32
    assert logits[0].shape == (1, 3, 5, 6)
    assert deltas[0].shape == (1, 12, 5, 6)


def _layers(num_classes=2, cls=SoftNMSOutputLayers, **kwargs):
    return cls(
        ShapeSpec(channels=4),
        box2box_transform=Box2BoxTransform(weights=(10.0, 10.0, 5.0, 5.0)),
        num_classes=num_classes,
        **kwargs,
    )


def _proposals(boxes, size=(100, 120)):
    proposals = Instances(size)
    proposals.proposal_boxes = Boxes(boxes)
    return proposals


def test_decayed_boxes_stay_with_their_lower_score():
    # IoU of the two boxes is 1/3, above 0.3: hard NMS at 0.3 drops the second, Soft-NMS keeps it
    # at 0.6 * 2/3 = 0.4.
    boxes = torch.tensor([[0.0, 0, 20, 20], [10, 0, 30, 20]])
    predictions = (torch.tensor([[0.9, 0.1], [0.6, 0.4]]).log(), torch.zeros(2, 4))
    ours, index = _layers(num_classes=1).inference(predictions, [_proposals(boxes)])
    torch.testing.assert_close(ours[0].scores, torch.tensor([0.9, 0.4]))
    torch.testing.assert_close(ours[0].pred_boxes.tensor, boxes)
    assert index[0].tolist() == [0, 1]
    hard = _layers(num_classes=1, cls=FastRCNNOutputLayers, test_nms_thresh=0.3)
    assert len(hard.inference(predictions, [_proposals(boxes)])[0][0]) == 1


def test_without_overlap_it_equals_detectron2_s_layers():
    torch.manual_seed(1)
    corners = torch.arange(8.0)[:, None] * 12
    boxes = torch.cat([corners, corners, corners + 9, corners + 9], dim=1)
    predictions = (torch.randn(8, 3), torch.randn(8, 8) * 0.1)
    kwargs = {"test_score_thresh": 0.2, "test_topk_per_image": 6}
    ours = _layers(**kwargs).inference(predictions, [_proposals(boxes)])
    theirs = _layers(cls=FastRCNNOutputLayers, **kwargs).inference(predictions, [_proposals(boxes)])
    torch.testing.assert_close(ours[0][0].scores, theirs[0][0].scores)
    torch.testing.assert_close(ours[0][0].pred_boxes.tensor, theirs[0][0].pred_boxes.tensor)
    assert ours[0][0].pred_classes.tolist() == theirs[0][0].pred_classes.tolist()
    assert ours[1][0].tolist() == theirs[1][0].tolist()


@pytest.mark.parametrize("agnostic", [False, True])
def test_equals_soft_nms_over_all_classes(agnostic):
    corners = torch.rand(30, 2) * 60
    boxes = torch.cat([corners, corners + 20], dim=1)
    logits = torch.randn(30, 3)
    layers = _layers(cls_agnostic_bbox_reg=agnostic, soft_nms_method="gaussian")
    deltas = torch.zeros(30, 4 if agnostic else 8)
    found = layers.inference((logits, deltas), [_proposals(boxes)])[0][0]
    scores = logits.softmax(dim=1)[:, :2].flatten()
    classes = torch.tensor([0, 1]).repeat(30)
    keep, decayed = soft_nms(
        boxes.repeat_interleave(2, dim=0), scores, classes, method="gaussian", max_detections=100
    )
    torch.testing.assert_close(found.scores, decayed)
    assert found.pred_classes.tolist() == classes[keep].tolist()


def test_boxes_are_clipped_and_non_finite_ones_dropped():
    boxes = torch.tensor([[-5.0, 90, 30, 130], [10, 10, 20, 20]])
    deltas = torch.tensor([[0.0, 0, 0, 0], [float("nan"), 0, 0, 0]])
    logits = torch.tensor([[0.9, 0.1], [0.8, 0.2]]).log()
    found = _layers(num_classes=1).inference((logits, deltas), [_proposals(boxes)])[0][0]
    torch.testing.assert_close(found.pred_boxes.tensor, torch.tensor([[0.0, 90, 30, 100]]))


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("topk", [-1, 0, 7, 1000])
def test_images_of_a_batch_are_the_images_one_by_one(agnostic, topk):
    layers = _layers(cls_agnostic_bbox_reg=agnostic, test_topk_per_image=topk)
    layers.test_score_thresh = 0.2
    counts, sizes = (30, 0, 12), [(60, 80), (100, 40), (50, 50)]
    corners = [torch.rand(count, 2) * 60 - 10 for count in counts]
    boxes = [torch.cat([one, one + 20], dim=1) for one in corners]
    proposals = [_proposals(one, size) for one, size in zip(boxes, sizes, strict=True)]
    logits, deltas = torch.randn(42, 3), torch.randn(42, 4 if agnostic else 8)
    deltas[3, 1], deltas[35, 0] = torch.nan, torch.inf
    found, kept = layers.inference((logits, deltas), proposals)
    parts = zip(logits.split(counts), deltas.split(counts), strict=True)
    for one, index, proposal, part in zip(found, kept, proposals, parts, strict=True):
        (alone,), (expected_index,) = layers.inference(part, [proposal])
        assert one.image_size == alone.image_size == proposal.image_size
        assert index.tolist() == expected_index.tolist()
        assert one.pred_boxes.tensor.equal(alone.pred_boxes.tensor)
        assert one.pred_classes.tolist() == alone.pred_classes.tolist()
        assert one.scores.equal(alone.scores)


def test_predictions_and_losses_are_float32_under_autocast(event_storage):
    layers = _layers()
    with torch.autocast("cpu", torch.bfloat16):
        predictions = layers(torch.randn(5, 4, dtype=torch.bfloat16))
        proposals = _proposals(torch.rand(5, 4).cumsum(dim=1) * 20)
        proposals.gt_boxes = proposals.proposal_boxes
        proposals.gt_classes = torch.tensor([0, 1, 2, 2, 2])
        losses = layers.losses(predictions, [proposals])
    assert all(one.dtype == torch.float32 for one in predictions)
    assert all(loss.dtype == torch.float32 for loss in losses.values())


def test_no_proposals_and_no_images():
    found, index = _layers().inference(
        (torch.zeros(0, 3), torch.zeros(0, 8)), [_proposals(torch.zeros(0, 4))]
    )
    assert len(found[0]) == len(index[0]) == 0
    assert found[0].pred_classes.dtype == torch.long
    assert _layers().inference((torch.zeros(0, 3), torch.zeros(0, 8)), []) == ([], [])


def _heads(kind, predictor=SoftNMSOutputLayers, *, layers=None, **options):
    torch.manual_seed(0)
    sampling = {"batch_size_per_image": 1000, "positive_fraction": 1.0}
    return kind(
        num_classes=2,
        box_in_features=["p3"],
        box_pooler=ROIPooler(**POOLER),
        box_head=FastRCNNConvFCHead(
            ShapeSpec(channels=3, height=4, width=4), conv_dims=[], fc_dims=[4]
        ),
        box_predictor=_layers(cls=predictor, **(layers or {})),
        **{**sampling, "proposal_matcher": Matcher([0.5], [0, 1]), **options},
    ).train()


def _truth(boxes, classes, size=(100, 120)):
    truth = Instances(size, gt_boxes=Boxes(torch.tensor(boxes).reshape(-1, 4)))
    truth.gt_classes = torch.tensor(classes, dtype=torch.long)
    truth.gt_masks = BitMasks(torch.zeros(len(boxes), *size, dtype=torch.bool))
    return truth


def _scene():
    """Three images with boxes around two, one and no objects, and their proposals."""
    truth = [
        _truth([[10.0, 10, 40, 40], [50, 20, 90, 80]], [0, 1]),
        _truth([[5.0, 60, 60, 95]], [1], (96, 80)),
        _truth([], []),
    ]
    proposals = []
    for one, count in zip(truth, (40, 25, 3), strict=True):
        near = one.gt_boxes.tensor.repeat(8, 1)
        near = near + torch.randn(near.shape) * 6
        far = (torch.rand(count, 2) * 60).repeat(1, 2) + torch.tensor([0.0, 0, 30, 20])
        proposals.append(_proposals(torch.cat([near, far]), one.image_size))
        proposals[-1].objectness_logits = torch.zeros(len(proposals[-1]))
    return {"p3": torch.randn(3, 3, 13, 15)}, proposals, truth


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"proposal_append_gt": False},
        {"proposal_matcher": Matcher([0.3, 0.6], [0, -1, 1])},  # boxes in between are no samples
        {"positive_fraction": 0.0},
        {"layers": {"cls_agnostic_bbox_reg": True, "loss_weight": {"loss_cls": 2.0}}},
        {"layers": {"box_reg_loss_type": "diou"}},
        {"layers": {"use_sigmoid_ce": True}},
    ],
)
def test_losses_are_detectron2s_where_every_proposal_is_sampled(options):
    features, proposals, truth = _scene()
    found = []
    for kind, predictor in (
        (SoftNMSROIHeads, SoftNMSOutputLayers),
        (StandardROIHeads, FastRCNNOutputLayers),
    ):
        heads = _heads(kind, predictor, **options)
        with EventStorage(0) as storage:
            _, losses = heads(None, features, proposals, truth)
        sum(losses.values()).backward()
        found.append((losses, [p.grad for p in heads.parameters()], storage.latest()))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_samples():
    _, proposals, truth = _scene()
    heads = _heads(SoftNMSROIHeads, batch_size_per_image=20, positive_fraction=0.25)
    sampled = heads.label_and_sample_proposals(proposals, truth)
    assert [len(one) for one in sampled] == [20, 20, 20]
    for one, some, has in zip(sampled, truth, (5, 5, 0), strict=True):
        classes = one.gt_classes
        assert one.image_size == some.image_size
        assert (classes[:has] < 2).all()
        assert not ((classes[has:] >= 0) & (classes[has:] < 2)).any()
        assert one.has("gt_masks") == (len(some) > 0)
        for box, label in zip(one.gt_boxes.tensor[:has], classes[:has], strict=True):
            (index,) = (some.gt_boxes.tensor == box).all(dim=1).nonzero()[0]
            assert some.gt_classes[index] == label
    assert (sampled[2].gt_classes == -1).sum() == 20 - 3  # it has three proposals


@pytest.mark.parametrize("normalizer", ["sampled", "positives"])
def test_what_is_no_sample_has_no_loss(normalizer, event_storage):
    layers = _layers(box_normalizer=normalizer)
    logits, deltas = torch.randn(6, 3), torch.randn(6, 8)
    one = _proposals(torch.rand(6, 4).cumsum(dim=1) * 20)
    one.gt_boxes = Boxes(torch.rand(6, 4).cumsum(dim=1) * 20)
    one.gt_classes = torch.tensor([1, -1, 2, 0, -1, 1])
    counts = one.gt_classes >= 0
    ours = layers.losses((logits, deltas), [one])
    theirs = FastRCNNOutputLayers.losses(
        _layers(cls=FastRCNNOutputLayers), (logits[counts], deltas[counts]), [one[counts]]
    )
    if normalizer == "positives":
        theirs["loss_box_reg"] *= 4 / 3
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("count", [0, 2])
def test_losses_without_samples(count, event_storage):
    one = _proposals(torch.zeros(count, 4))
    one.gt_boxes, one.gt_classes = one.proposal_boxes, torch.full((count,), -1)
    predictions = tuple(torch.zeros(count, width, requires_grad=True) for width in (3, 8))
    losses = _layers().losses(predictions, [one])
    sum(losses.values()).backward()
    assert all(one.grad.count_nonzero() == 0 for one in predictions)
    assert [loss.item() for loss in losses.values()] == [0, 0]
