"""The optimised detector: the same detections, and the caller's model as it was."""

import dataclasses

import pytest
import torch
from detectron2.config import LazyCall as L
from detectron2.config import instantiate
from detectron2.layers import ShapeSpec
from torch import nn

from acnet.config import load_config
from acnet.inference.optimize import NOTHING, Optimizations, optimize_for_inference
from acnet.inference.optimize_fusion import FusedBlock
from acnet.inference.optimize_roi import ChunkedStage, StridedPooler
from acnet.modeling import BestFirstRPN, SoftNMSRes5ROIHeads, make_resnet_stage

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
    return [
        {
            "image": torch.randint(256, (3, height, width), generator=generator).byte(),
            "height": height,
            "width": width,
        }
        for height, width in sizes_hw
    ]


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
    inputs = _inputs((64, 96), (80, 50))
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
        "toy/table1/rfcn_r18",
        "toy/table1/faster_rcnn_r18_c4",
        "toy/table2/baseline",
        "toy/table2/frm_dce_mama",
        "toy/faster_rcnn_r18_fpn",
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


@pytest.mark.parametrize("optimizations", [None, Optimizations(fuse=False)])
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
    assert isinstance(levels.lead.res2[0], FusedBlock)
    assert levels.assistant.stem is levels.lead.stem


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
    ours = optimize_for_inference(small_model)
    with torch.inference_mode():
        torch.testing.assert_close(
            ours.backbone.saliency(image),
            small_model.backbone.saliency(image),
            rtol=1e-4,
            atol=1e-5,
        )


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
    small_model.eval()
