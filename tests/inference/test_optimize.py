"""The optimised detector: the same detections, and the caller's model as it was."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from detectron2.config import LazyCall as L
from detectron2.config import instantiate
from detectron2.layers import CNNBlockBase, Conv2d, FrozenBatchNorm2d, ShapeSpec, get_norm
from detectron2.modeling.backbone.resnet import BottleneckBlock
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from torch import nn

from acnet.config import load_config
from acnet.inference import optimize
from acnet.inference.optimize import (
    NOTHING,
    ChunkedStage,
    Optimizations,
    fold_norms,
    optimize_for_inference,
)
from acnet.modeling import (
    BestFirstRPN,
    DynamicFeatureFusion,
    SoftNMSRes5ROIHeads,
    make_resnet_stage,
    poolers,
)
from acnet.modeling.poolers import StridedPooler, skip_unread_bins

SWITCHES = [field.name for field in dataclasses.fields(Optimizations)]


def _settle(model: nn.Module) -> nn.Module:
    """Statistics and new layers as a training would leave them: neither 0 nor 1."""
    for layer in model.modules():
        if getattr(layer, "running_var", None) is not None:
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    for connection in model.backbone.bottom_up.bottom_up.connections.values():
        nn.init.normal_(connection.output.weight, std=0.01)
    return model.eval()


@pytest.fixture(scope="module")
def small_model():
    """Return toy/acnet_r18: two stems, two fully connected layers."""
    torch.manual_seed(0)
    return _settle(instantiate(load_config("toy/acnet_r18").model))


@pytest.fixture(scope="module")
def res5_model():
    """Return the paper's kind of model, on narrow ResNet-50s: one frozen stem, res5 as box head."""
    torch.manual_seed(0)
    cfg = load_config("acne04/acnet_r101").model
    merged = cfg.backbone.bottom_up
    merged.out_channels = 64
    for resnet in (merged.bottom_up.lead, merged.bottom_up.assistant):
        resnet.stem.out_channels = 16
        resnet.stages.depth, resnet.stages.stem_channels = 50, 16
    cfg.backbone.width = 0.25
    cfg.proposal_generator.head.in_channels = 256
    cfg.proposal_generator.head.conv_dims = [64]
    cfg.roi_heads.res5 = L(make_resnet_stage)(
        depth=50, stage=5, stem_channels=16, norm="FrozenBN", stride_in_1x1=True
    )
    cfg.roi_heads.box_predictor.input_shape = L(ShapeSpec)(channels=512)
    model = instantiate(cfg)
    assert type(model.roi_heads) is SoftNMSRes5ROIHeads
    return _settle(model)


@pytest.fixture(params=["small_model", "res5_model"])
def model(request):
    """Return one model, then the other."""
    return request.getfixturevalue(request.param)


def _inputs(*sizes_hw: tuple[int, int]) -> list[dict]:
    generator = torch.Generator().manual_seed(1)
    pictures = []
    for height, width in sizes_hw:
        image = torch.randint(256, (3, height, width), generator=generator).byte()
        pictures.append({"image": image, "height": height, "width": width})
    return pictures


def _detect(model: nn.Module, inputs: list[dict], dtype: torch.dtype | None = None) -> list:
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype is not None):
        return [one["instances"] for one in model(inputs)]


def _assert_same(ours: list, theirs: list) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert len(other) > 10
        torch.testing.assert_close(one.scores, other.scores, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            one.pred_boxes.tensor, other.pred_boxes.tensor, rtol=1e-4, atol=1e-2
        )


@pytest.mark.parametrize("switch", [name for name in SWITCHES if name != "compile"])
def test_each_switch_alone(model, switch):
    inputs = _inputs((64, 96))
    alone = dataclasses.replace(NOTHING, **{switch: True})
    ours = optimize_for_inference(model, optimizations=alone)
    _assert_same(_detect(ours, inputs), _detect(model, inputs))


def test_all_together_on_padded_batches(model):
    inputs = _inputs((64, 96), (96, 72))  # either is padded
    ours = optimize_for_inference(model)
    _assert_same(_detect(ours, inputs), _detect(model, inputs))
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        theirs = model.backbone(image)["p3"]
        difference = (ours.backbone(image)["p3"] - theirs).abs().max()
    assert difference <= 1e-4 * theirs.abs().max()


@pytest.mark.parametrize(
    "name",
    [
        *("toy/table1/rfcn_r18", "toy/table1/faster_rcnn_r18_c4", "toy/table2/baseline"),
        *("toy/table2/frm_dce_mama", "toy/faster_rcnn_r18_fpn"),
    ],
)
def test_other_rows_of_the_tables(name):
    torch.manual_seed(0)
    model = instantiate(load_config(name).model).eval()
    inputs = _inputs((64, 96))
    ours = optimize_for_inference(model)
    _assert_same(_detect(ours, inputs), _detect(model, inputs))
    in_bfloat16 = optimize_for_inference(model, dtype=torch.bfloat16)
    assert len(_detect(in_bfloat16, inputs, torch.bfloat16)[0]) > 0


@pytest.mark.parametrize("optimizations", [None, Optimizations(channels_last=False)])
def test_in_bfloat16_it_is_as_near_as_autocast(model, optimizations):
    dtype = torch.bfloat16
    image = torch.randn(1, 3, 64, 96)
    ours = optimize_for_inference(model, dtype=dtype, optimizations=optimizations)
    with torch.inference_mode():
        exact = model.backbone(image)["p3"]
        with torch.autocast("cpu", dtype):
            autocast, ours_map = (one.backbone(image)["p3"].float() for one in (model, ours))
    assert (ours_map - exact).abs().max() <= 1.5 * (autocast - exact).abs().max()
    assert len(_detect(ours, _inputs((64, 96)), dtype)[0]) > 0


def test_the_parts_are_replaced(small_model, res5_model):
    small, res5 = (optimize_for_inference(one) for one in (small_model, res5_model))
    assert type(small.proposal_generator) is BestFirstRPN
    assert isinstance(res5.roi_heads.pooler, StridedPooler)
    assert isinstance(res5.roi_heads.res5, ChunkedStage)
    levels = res5.backbone.bottom_up.bottom_up
    assert levels.assistant.stem is levels.lead.stem
    assert not res5.channels_last
    in_bfloat16 = optimize_for_inference(res5_model, dtype=torch.bfloat16)
    assert in_bfloat16.channels_last
    weight = in_bfloat16.backbone.bottom_up.bottom_up.lead.res2[0].conv2.weight
    assert weight.dtype == torch.bfloat16
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_the_callers_model_stays_as_it_was(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kinds = [type(module) for module in model.modules()]
    optimize_for_inference(model, dtype=torch.bfloat16)
    assert [type(module) for module in model.modules()] == kinds
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert any(parameter.requires_grad for parameter in model.parameters())


def test_saliency(small_model):
    image = torch.randn(1, 3, 64, 96)
    ours = optimize_for_inference(small_model).backbone
    with torch.inference_mode():
        theirs = small_model.backbone.saliency(image)
        torch.testing.assert_close(ours.saliency(image), theirs, rtol=1e-4, atol=1e-5)


def test_a_picture_without_proposals(res5_model):
    ours = optimize_for_inference(res5_model)
    ours.proposal_generator.min_box_size = 1e4
    assert len(_detect(ours, _inputs((64, 96)))[0]) == 0


def test_a_model_of_another_kind_is_folded_only():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()).eval()
    x = torch.randn(1, 3, 4, 4)
    assert torch.equal(optimize_for_inference(model)(x), model(x))


def test_training_mode_is_refused(small_model):
    small_model.train()
    with pytest.raises(ValueError, match=r"training mode; call model.eval\(\) first"):
        optimize_for_inference(small_model)
    with pytest.raises(ValueError, match=r"training mode; call model.eval\(\) first"):
        fold_norms(small_model)
    small_model.eval()


def test_folding_by_hand():
    # conv: 2x + 1. norm: (y - 1) / sqrt(3 + 1) * 4 + 5 = 2y + 3. Together: 2 (2x + 1) + 3 = 4x + 5.
    norm = nn.BatchNorm2d(1, eps=1.0)
    conv = Conv2d(1, 1, 1, norm=norm).eval()
    values = {norm.running_mean: 1, norm.running_var: 3, norm.weight: 4, norm.bias: 5}
    with torch.no_grad():
        for tensor, value in {**values, conv.weight: 2, conv.bias: 1}.items():
            tensor.fill_(value)
    assert fold_norms(conv) == 1
    assert (conv.weight.item(), conv.bias.item(), conv.norm) == (4, 5, None)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    "norm", [FrozenBatchNorm2d(6), nn.BatchNorm2d(6), nn.BatchNorm2d(6, affine=False)]
)
@torch.no_grad()
def test_a_folded_layer_gives_the_same(norm, bias):
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    if norm.weight is not None:
        norm.weight.normal_()
        norm.bias.normal_()
    conv = Conv2d(4, 6, 3, padding=1, bias=bias, norm=norm).eval()
    x = torch.randn(2, 4, 5, 7)
    expected = conv(x)
    fold_norms(conv)
    assert conv.norm is None
    torch.testing.assert_close(conv(x), expected, rtol=1e-4, atol=1e-5)


def test_a_norm_that_looks_at_its_input_stays():
    conv = Conv2d(4, 32, 1, norm=get_norm("GN", 32)).eval()
    assert fold_norms(conv) == 0
    assert conv.norm is not None


BOXES = [
    Boxes(torch.tensor([[3.0, 5.0, 60.0, 41.0], [10.0, 2.0, 19.0, 90.0]])),
    Boxes(torch.tensor([[-8.0, 30.0, 70.0, 100.0]])),
]


class _Heads:
    """The two parts of `Res5ROIHeads` that matter here."""

    def __init__(self, *, stride_in_1x1: bool = True, stride: int = 2, in_channels: int = 8):
        first = {"bottleneck_channels": 4, "norm": "", "stride_in_1x1": stride_in_1x1}
        self.res5 = nn.Sequential(
            BottleneckBlock(in_channels, 16, stride=stride, **first),
            BottleneckBlock(16, 16, bottleneck_channels=4, norm=""),
        )
        self.pooler = ROIPooler(14, (1 / 8,), sampling_ratio=0, pooler_type="ROIAlignV2")

    def __call__(self, features, boxes):
        return self.res5(self.pooler([features], boxes))


@torch.no_grad()
@pytest.mark.parametrize("is_ours_faster", [True, False])
def test_unread_bins_are_left_out(monkeypatch, is_ours_faster):
    monkeypatch.setattr(poolers, "_is_ours_faster", lambda features: is_ours_faster)
    heads, features = _Heads(), torch.randn(2, 8, 12, 12)
    expected = heads(features, BOXES)
    skip_unread_bins(heads)
    assert heads.pooler([features], BOXES).shape == (3, 8, 7, 7)
    torch.testing.assert_close(heads(features, BOXES), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "heads",
    [
        _Heads(stride_in_1x1=False),  # a 3x3 convolution reads them all
        _Heads(in_channels=16, stride=1),  # no shortcut, no stride
    ],
)
def test_bins_that_are_read_stay(heads):
    pooler = heads.pooler
    skip_unread_bins(heads)
    assert heads.pooler is pooler


@torch.no_grad()
@pytest.mark.parametrize("count", [0, 1, 4, 7])
def test_chunks_are_the_whole(count):
    stage = _Heads().res5
    pooled = torch.randn(count, 8, 14, 14)
    ours, theirs = (part(pooled) for part in (ChunkedStage(stage, chunk=3), stage))
    assert ours.shape == (count, 16, 1, 1)
    means = (one.mean(dim=(2, 3)) for one in (ours, theirs))
    torch.testing.assert_close(*means, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", ["toy/acnet_r18", "acne04/acnet_r101"])
def test_fused_blocks_are_wired_as_plain_ones(monkeypatch, config):
    def with_relu(x, weight, bias, *settings):
        return F.conv2d(x, weight, bias, *settings).relu()

    def with_shortcut(x, weight, shortcut, scale, bias, *settings):
        return (F.conv2d(x, weight, bias, *settings) + scale * shortcut).relu()

    monkeypatch.setattr(torch, "cudnn_convolution_relu", with_relu)
    monkeypatch.setattr(torch, "cudnn_convolution_add_relu", with_shortcut)
    monkeypatch.setattr(optimize, "_FUSED", (torch.float32,))
    torch.manual_seed(0)
    model = instantiate(load_config(config).model).eval()
    fold_norms(model)
    lead = model.backbone.bottom_up.bottom_up.lead
    image = torch.randn(1, 3, 64, 64)
    mama = model.backbone
    merged = torch.randn(1, mama.bottom_up.output_shape()["p3"].channels, 8, 8)
    with torch.no_grad():
        expected = [lead(image)["res4"], mama.mask_attention(mama.inception(merged))]
        blocks = sum(isinstance(one, CNNBlockBase) for one in lead.modules())
        assert optimize.fuse_activations(lead) >= blocks - 1  # the stem has a form of its own
        assert optimize.fuse_activations(mama.inception) == 10
        assert optimize.fuse_activations(mama.mask_attention) == 1
        found = [lead(image)["res4"], mama.mask_attention(mama.inception(merged))]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("change", [optimize.average_last, optimize.add_biases_last])
@pytest.mark.parametrize("gain", [False, True])
def test_what_commutes_may_come_last(small_model, change, gain):
    model = optimize_for_inference(small_model, optimizations=NOTHING)
    assert fold_norms(model)
    for part in model.modules():
        if isinstance(part, DynamicFeatureFusion):
            part.gain = nn.Parameter(torch.rand(1)) if gain else None
            for conv in part.convs:
                nn.init.normal_(conv.bias)
    image = torch.randn(2, 3, 64, 96)
    sizes = [(64, 96), (50, 70)]  # the second is padded
    before = model.backbone(image, sizes)["p3"]
    names = dict(model.named_parameters())
    change(model)
    assert dict(model.named_parameters()).keys() != names.keys()
    torch.testing.assert_close(model.backbone(image, sizes)["p3"], before, rtol=1e-4, atol=1e-4)
