"""Two ResNets that are joined level by level."""

import copy

import pytest
import torch
import torch.nn.functional as F

from acnet.modeling import CompositeConnection, CompositeResNet, RefinedResNet


def test_equals_upsampling_before_the_convolution():
    module = CompositeConnection(high_channels=6, low_channels=4, zero_init=False).eval()
    high, low = torch.randn(2, 6, 3, 4), torch.randn(2, 4, 6, 8)
    upsampled = F.interpolate(high, scale_factor=2, mode="nearest")
    torch.testing.assert_close(module(high, low, low), module.project(upsampled))


def _composite(small_resnet, **kwargs):
    return CompositeResNet(lead=small_resnet(), assistant=small_resnet(), **kwargs)


@pytest.mark.parametrize("connection", ["plain", "refine"])
def test_starts_as_the_lead_alone(small_resnet, connection):
    model = _composite(small_resnet, connection=connection).eval()
    image = torch.randn(1, 3, 64, 96)
    alone = model.lead(image)
    for name, level in model(image).items():
        torch.testing.assert_close(level, alone[name])


@pytest.mark.parametrize("connection", ["plain", "refine"])
def test_equals_the_stages_written_out(small_resnet, connection):
    model = _composite(small_resnet, connection=connection, zero_init=False).eval()
    image = torch.randn(1, 3, 64, 64)
    a1 = model.assistant.stem(image)
    a2 = model.assistant.res2(a1)
    a3 = model.assistant.res3(a2)
    a4 = model.assistant.res4(a3)
    l1 = model.lead.stem(image)
    l2 = model.lead.res2(l1 + model.connections["res2"](a2, a1, l1))
    l3 = model.lead.res3(l2 + model.connections["res3"](a3, a2, l2))
    l4 = model.lead.res4(l3 + model.connections["res4"](a4, a3, l3))
    levels = model(image)
    for name, expected in (("res2", l2), ("res3", l3), ("res4", l4)):
        torch.testing.assert_close(levels[name], expected)


def test_shapes_and_strides(small_resnet):
    model = _composite(small_resnet, out_features=("stem", "res2", "res3", "res4"))
    levels = model(torch.randn(2, 3, 64, 96))
    assert model.size_divisibility == 16
    shapes = {name: (shape.channels, shape.stride) for name, shape in model.output_shape().items()}
    assert shapes == {"stem": (8, 4), "res2": (8, 4), "res3": (16, 8), "res4": (32, 16)}
    for name, (channels, stride) in shapes.items():
        assert levels[name].shape == (2, channels, 64 // stride, 96 // stride)


@pytest.mark.parametrize("connection", ["plain", "refine", None])
def test_every_parameter_gets_a_gradient(small_resnet, connection, assert_every_gradient):
    if connection is None:
        model = RefinedResNet(bottom_up=small_resnet(), zero_init=False)
    else:
        model = _composite(small_resnet, connection=connection, zero_init=False)
    levels = model(torch.randn(2, 3, 64, 64))
    sum(level.square().mean() for level in levels.values()).backward()
    assert_every_gradient(model)


def test_a_frozen_stem_is_shared_and_computes_what_two_equal_ones_do(small_resnet):
    trained = _composite(small_resnet)
    assert trained.assistant.stem is not trained.lead.stem
    shared = CompositeResNet(
        lead=small_resnet("FrozenBN", freeze_at=2),
        assistant=small_resnet("FrozenBN", freeze_at=2),
        zero_init=False,
    ).eval()
    assert shared.assistant.stem is shared.lead.stem
    double = copy.deepcopy(shared)
    double.assistant.stem = copy.deepcopy(shared.lead.stem)
    image = torch.randn(1, 3, 64, 64)
    for name, level in shared(image).items():
        torch.testing.assert_close(level, double(image)[name])


def test_refined_resnet_adds_to_the_taps_and_not_to_the_stages(small_resnet):
    model = RefinedResNet(bottom_up=small_resnet(), zero_init=False).eval()
    image = torch.randn(1, 3, 64, 64)
    plain = model.bottom_up(image)
    levels = model(image)
    for low, high in (("res2", "res3"), ("res3", "res4")):
        term = model.connections[high](plain[high], plain[low], plain[low])
        assert term.abs().sum() > 0
        torch.testing.assert_close(levels[low], plain[low] + term)
    torch.testing.assert_close(levels["res4"], plain["res4"])


def test_errors_name_what_was_received(small_resnet):
    with pytest.raises(ValueError, match=r"connection.*'sum'"):
        _composite(small_resnet, connection="sum")
    with pytest.raises(ValueError, match=r"\['res5'\].*stem"):
        _composite(small_resnet, out_features=("res5",))
