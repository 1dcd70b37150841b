"""Heads that stay in float32, and detections thinned out by Soft-NMS."""

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.proposal_generator.rpn import StandardRPNHead
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances

from acnet.layers import soft_nms
from acnet.modeling import Float32ROIPooler, Float32RPNHead, SoftNMSOutputLayers

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
    torch.testing.assert_close(
        Float32ROIPooler(**POOLER)([_ramp(torch.float32)], BOX),
        ROIPooler(**POOLER)([_ramp(torch.float32)], BOX),
    )


def test_no_boxes():
    pooled = Float32ROIPooler(**POOLER)([_ramp(torch.float32)], [Boxes(torch.zeros(0, 4))])
    assert pooled.shape == (0, 1, 4, 4)


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


def _logits(probabilities):
    return torch.tensor(probabilities).log()


def test_decayed_boxes_stay_with_their_lower_score():
    # IoU of the two boxes is 1/3, above 0.3: hard NMS at 0.3 drops the second, Soft-NMS keeps it
    # at 0.6 * 2/3 = 0.4.
    boxes = torch.tensor([[0.0, 0, 20, 20], [10, 0, 30, 20]])
    predictions = (_logits([[0.9, 0.1], [0.6, 0.4]]), torch.zeros(2, 4))
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
    found = _layers(num_classes=1).inference(
        (_logits([[0.9, 0.1], [0.8, 0.2]]), deltas), [_proposals(boxes)]
    )[0][0]
    torch.testing.assert_close(found.pred_boxes.tensor, torch.tensor([[0.0, 90, 30, 100]]))


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("topk", [-1, 0, 7, 1000])
def test_all_images_at_once_are_the_images_one_by_one(agnostic, topk):
    layers = _layers(cls_agnostic_bbox_reg=agnostic, test_topk_per_image=topk)
    layers.test_score_thresh = 0.2
    sizes = [(60, 80), (100, 40), (50, 50)]
    boxes = [torch.randn(count, 4 if agnostic else 8) * 40 + 30 for count in (30, 0, 12)]
    boxes[0][3, 1], boxes[2][5, 0] = torch.nan, torch.inf
    scores = [torch.randn(len(each), 3).softmax(dim=1) for each in boxes]
    together = layers._inference_all_images(boxes, scores, sizes)
    for (found, kept), *image in zip(together, boxes, scores, sizes, strict=True):
        expected, expected_kept = layers._inference_single_image(*image)
        assert found.image_size == expected.image_size
        assert kept.tolist() == expected_kept.tolist()
        assert found.pred_boxes.tensor.equal(expected.pred_boxes.tensor)
        assert found.pred_classes.tolist() == expected.pred_classes.tolist()
        torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-6)


def test_no_images():
    assert _layers()._inference_all_images([], [], []) == []


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


def test_no_proposals():
    found, index = _layers().inference(
        (torch.zeros(0, 3), torch.zeros(0, 8)), [_proposals(torch.zeros(0, 4))]
    )
    assert len(found[0]) == len(index[0]) == 0
    assert found[0].pred_classes.dtype == torch.long
