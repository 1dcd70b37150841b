import pytest
import torch
from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.roi_heads import build_roi_heads
from detectron2.structures import Boxes, Instances
from torchvision.ops import roi_align

from acnet.modeling import (
    PositionSensitiveOutputLayers,
    RFCNROIHeads,
    add_acnet_config,
    make_resnet_stage,
)


def _layers(channels=4, *, stride=1, num_classes=2, **kwargs):
    return PositionSensitiveOutputLayers(
        ShapeSpec(channels=channels, stride=stride),
        box2box_transform=Box2BoxTransform(weights=(10.0, 10.0, 5.0, 5.0)),
        num_classes=num_classes,
        **kwargs,
    )


def _heads(in_features=("res4",)):
    """On a map of 32 channels and stride 16: blocks of 64, then 16 channels, 3x3 bins."""
    return RFCNROIHeads(
        num_classes=2,
        batch_size_per_image=8,
        positive_fraction=0.5,
        proposal_matcher=Matcher([0.5], [0, 1], allow_low_quality_matches=False),
        in_features=in_features,
        res5=make_resnet_stage(18, 5, stem_channels=8, dilation=2, norm="BN"),
        hidden_channels=16,
        box_predictor=_layers(16, stride=16, num_bins=3),
    )


def _proposals(boxes, size=(96, 128)):
    boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    return Instances(size, proposal_boxes=boxes, objectness_logits=torch.zeros(len(boxes)))


def _targets(boxes, size=(96, 128)):
    boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    return Instances(size, gt_boxes=boxes, gt_classes=torch.zeros(len(boxes), dtype=torch.long))


def _features(images=2):
    return {"res4": torch.randn(images, 32, 6, 8)}


@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_votes_are_the_diagonal_bins_of_roi_align(sampling_ratio):
    """Bin (i, j) of value v reads map v * k * k + i * k + j, where RoIAlign reads it for all bins.

    So of RoIAlign's (R, K, k * k, k, k) only the bins whose place is that of their map count.
    """
    layers = _layers(stride=8, num_bins=3, sampling_ratio=sampling_ratio)
    features = torch.randn(2, 4, 9, 11)
    boxes = [torch.tensor([[3.0, 5, 60, 41], [-4, 20, 88, 72]]), torch.tensor([[10.5, 8, 30, 70]])]
    pooled = roi_align(
        layers.cls_score(features), boxes, 3, 1 / 8, sampling_ratio or -1, aligned=True
    )
    by_map = pooled.reshape(3, 3, 9, 9)  # (R, K, maps, bins)
    expected = by_map.diagonal(dim1=2, dim2=3).mean(dim=2)
    scores, _ = layers(features, [Boxes(one) for one in boxes])
    torch.testing.assert_close(scores, expected)


def test_each_bin_reads_its_own_map():
    """Maps that count 1, 2, 3, 4: the four bins of any box read 1, 2, 3, 4, whose mean is 2.5.

    The offsets' maps are these times ten, so the four offsets of each box are 25.
    """
    layers = _layers(channels=1, num_classes=1, num_bins=2)
    counts = torch.arange(1.0, 5)
    with torch.no_grad():
        layers.cls_score.weight.zero_()
        layers.bbox_pred.weight.zero_()
        layers.cls_score.bias.copy_(torch.cat([counts, torch.zeros(4)]))
        layers.bbox_pred.bias.copy_(10 * counts.repeat(4))
    scores, deltas = layers(torch.randn(1, 1, 8, 8), [Boxes(torch.tensor([[1.0, 1, 5, 7]]))])
    torch.testing.assert_close(scores, torch.tensor([[2.5, 0.0]]))
    torch.testing.assert_close(deltas, torch.full((1, 4), 25.0))


def test_the_gain_makes_a_step_as_long_as_a_linear_layer_s():
    """On a constant map f every bin reads f, as the linear layer behind an average would.

    A step moves k * k maps by gain / (k * k) of the linear layer's step each, and the votes add up
    as gain * mean: by gain ** 2 / (k * k) of the linear layer in all, which is 1 for gain = k.
    """
    feature = torch.tensor([0.5, -1.0, 2.0, 0.25])
    linear = torch.nn.Linear(4, 3)
    moved = {}
    for gain in (1.0, 3.0):
        layers = _layers(num_bins=3, vote_gain=gain)
        x = feature[None, :, None, None].expand(1, 4, 9, 9)
        box = [Boxes(torch.tensor([[1.0, 1, 7, 7]]))]
        before = layers(x, box)[0]
        before[0, 1].backward()
        torch.optim.SGD([layers.cls_score.weight, layers.cls_score.bias], lr=0.1).step()
        moved[gain] = layers(x, box)[0] - before
    before = linear(feature)
    before[1].backward()
    torch.optim.SGD(linear.parameters(), lr=0.1).step()
    torch.testing.assert_close(moved[3.0][0], linear(feature) - before)
    torch.testing.assert_close(moved[1.0][0], (linear(feature) - before) / 9)


def test_a_box_without_any_width_gets_what_lies_there():
    """torchvision divides by the number of samples, which are none."""
    layers = _layers(stride=4)
    x = torch.randn(1, 4, 6, 6)
    point = Boxes(torch.tensor([[8.0, 8, 8, 8]]))
    small = Boxes(torch.tensor([[8.0, 8, 8.01, 8.01]]))
    torch.testing.assert_close(layers(x, [point]), layers(x, [small]), rtol=1e-2, atol=1e-3)


def test_boxes_and_votes_stay_in_float32_under_bfloat16():
    """On maps that hold their column a box votes for the column of its middle: 605.3 / 8 - 0.5.

    bfloat16 would round the box to 600 and 608, and the vote to 75.
    """
    layers = _layers(channels=1, stride=8, num_classes=1)
    torch.nn.init.ones_(layers.cls_score.weight)
    x = torch.arange(80.0).expand(1, 1, 80, 80).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        scores, deltas = layers(x, [Boxes(torch.tensor([[601.3, 401.7, 609.3, 409.7]]))])
    assert scores.dtype == deltas.dtype == torch.float32
    torch.testing.assert_close(scores, torch.full((1, 2), 605.3 / 8 - 0.5))


def test_losses_reach_every_parameter(event_storage, assert_every_gradient):
    heads = _heads()
    proposals = [_proposals([[4, 6, 50, 40], [60, 50, 90, 90], [0, 0, 9, 9]]), _proposals([])]
    targets = [_targets([[2, 4, 48, 44]]), _targets([])]
    nothing, losses = heads(None, _features(), proposals, targets)
    assert nothing == []
    assert set(losses) == {"loss_cls", "loss_box_reg"}
    sum(losses.values()).backward()
    assert_every_gradient(heads)


def test_no_proposals_forward_and_backward(event_storage):
    heads, features = _heads(), _features()
    empty = [_proposals([]), _proposals([])]
    _, losses = heads(None, features, empty, [_targets([]), _targets([])])
    assert losses["loss_cls"] == losses["loss_box_reg"] == 0
    sum(losses.values()).backward()
    assert all(p.grad is not None and not p.grad.any() for p in heads.parameters())
    found, losses = heads.eval()(None, features, empty)
    assert [len(one) for one in found] == [0, 0]
    assert losses == {}


def test_detections_are_thinned_out_by_soft_nms():
    """Of two equal boxes the second keeps 1 - IoU = 0 of its score; one with IoU 3/7 keeps 4/7."""
    heads = _heads().eval()
    box = [10.0, 10, 60, 60]
    with torch.no_grad():
        heads.box_predictor.bbox_pred.weight.zero_()
        found, _ = heads(None, _features(1), [_proposals([box, box, [30, 10, 80, 60]])])
    first_class = found[0][found[0].pred_classes == 0]
    assert len(first_class) == 2
    assert sorted(first_class.pred_boxes.tensor[:, 0].tolist()) == [10, 30]


def test_boxes_cost_no_convolution():
    heads = _heads()
    calls = []
    for layer in (heads.res5[0].conv1, heads.reduce, heads.box_predictor.cls_score):
        layer.register_forward_hook(lambda layer, inputs, output: calls.append(output.shape[0]))
    box = [4, 6, 50, 40]
    heads.eval()(None, _features(), [_proposals([box] * 5), _proposals([box])])
    assert calls == [2, 2, 2]  # images, not boxes


def test_more_than_one_feature_map_is_an_error():
    with pytest.raises(ValueError, match=r"Received in_features=\['p2', 'p3'\]\. Name one"):
        _heads(("p2", "p3"))


def _yaml_config(*overrides):
    cfg = get_cfg()
    add_acnet_config(cfg)
    cfg.merge_from_list(
        [
            "MODEL.DEVICE", "cpu",
            "MODEL.ROI_HEADS.NAME", "RFCNROIHeads",
            "MODEL.ROI_HEADS.IN_FEATURES", ["res4"],
            "MODEL.RPN.IN_FEATURES", ["res4"],
            *overrides,
        ]
    )  # fmt: skip
    return cfg


def test_yaml_users_get_the_paper_s_size():
    with torch.device("meta"):
        heads = build_roi_heads(_yaml_config(), {"res4": ShapeSpec(channels=1024, stride=16)})
    assert [block.conv2.dilation for block in heads.res5] == [(2, 2)] * 3
    assert heads.reduce.weight.shape == (1024, 2048, 1, 1)
    assert heads.box_predictor.cls_score.weight.shape == (49 * 2, 1024, 1, 1)
    assert heads.box_predictor.bbox_pred.weight.shape == (49 * 4, 1024, 1, 1)
    assert heads.box_predictor.spatial_scale == 1 / 16


def test_yaml_model_trains_and_finds(event_storage, training_input):
    """On detectron2's own ResNet, whose res4 has 256 channels here."""
    model = build_model(
        _yaml_config(
            "MODEL.BACKBONE.NAME", "build_resnet_backbone",
            "MODEL.BACKBONE.FREEZE_AT", 0,
            "MODEL.RESNETS.DEPTH", 18,
            "MODEL.RESNETS.RES2_OUT_CHANNELS", 64,
            "MODEL.RESNETS.NORM", "BN",
            "MODEL.RPN.CONV_DIMS", [16],
            "MODEL.ACNET.RFCN.HIDDEN_CHANNELS", 16,
            "MODEL.ACNET.RFCN.NUM_BINS", 3,
        )
    )  # fmt: skip
    losses = model.train()([training_input(64, 80, [[4, 6, 40, 45]]), training_input(50, 61, [])])
    sum(losses.values()).backward()
    assert model.roi_heads.res5[0].conv1.weight.grad.any()
    with torch.no_grad():
        assert len(model.eval()([training_input(64, 80, [])])) == 1
