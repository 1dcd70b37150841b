import pytest
import torch
import torch.nn.functional as F

from acnet.modeling import DynamicContextEnhancement, DynamicFeatureFusion


def _dce(bottom_up, **kwargs):
    # A reduction of 16 would leave 3 hidden units here, which may all be dead at birth.
    kwargs = {"in_features": ("res2", "res3", "res4"), "out_channels": 16, "reduction": 4, **kwargs}
    return DynamicContextEnhancement(bottom_up=bottom_up, reference="res3", **kwargs)


def test_fusion_equals_the_concatenated_map_of_the_paper():
    fusion = DynamicFeatureFusion(channels=8)
    level = torch.randn(2, 8, 6, 7)
    # Eq. (4), (5) and (3) as written, with the map of 3C channels.
    rates = zip((1, 2, 3), fusion.convs, strict=True)
    maps = [F.conv2d(level, c.weight, c.bias, padding=rate, dilation=rate) for rate, c in rates]
    concatenated = torch.cat(maps, dim=1)
    pooled = F.adaptive_avg_pool2d(concatenated, 1).flatten(1)
    alpha = torch.sigmoid(fusion.fc2(F.relu(fusion.fc1(pooled))))
    expected = sum((concatenated * alpha[:, :, None, None]).split(8, dim=1))
    torch.testing.assert_close(fusion(level), expected)


def test_without_enhancement_it_is_the_sum_of_resized_levels(small_resnet):
    model = _dce(small_resnet(), enhance=False).eval()
    image = torch.randn(1, 3, 64, 96)
    levels = model.bottom_up(image)
    # Sides divide by 16, so adaptive pooling is the plain 2x2 average of III-B.1.
    two = model.resize["res2"](F.avg_pool2d(levels["res2"], 2))
    four = F.interpolate(
        model.resize["res4"](levels["res4"]), scale_factor=2, mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(model(image)["p3"], two + levels["res3"] + four)


def test_open_gates_with_unit_kernels_triple_the_sum(small_resnet):
    # Every convolution copies its input and every gate is sigmoid(large) = 1: D_i = 3 L_i.
    model = _dce(small_resnet()).eval()
    plain = _dce(model.bottom_up, enhance=False).eval()
    plain.resize = model.resize
    for fusion in model.enhance.values():
        for conv in fusion.convs:
            torch.nn.init.zeros_(conv.bias)
            torch.nn.init.zeros_(conv.weight)
            conv.weight.data[:, :, 1, 1] = torch.eye(16)
        torch.nn.init.constant_(fusion.fc2.bias, 50.0)
    image = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(model(image)["p3"], 3 * plain(image)["p3"])


def test_fusion_can_start_as_the_identity():
    # Three copies of the input, each with a share of 2/3, at scores of 1/2: 3 * 2/3 * 1/2 = 1.
    fusion = DynamicFeatureFusion(channels=8, reduction=4, init="identity")
    level = torch.randn(2, 8, 6, 7)
    torch.testing.assert_close(fusion(level), level)


def test_a_shortcut_adds_the_mix_by_its_gain():
    fusion = DynamicFeatureFusion(channels=8, reduction=4, shortcut=True)
    level = torch.randn(2, 8, 6, 7)
    torch.testing.assert_close(fusion(level), level)  # gains start at zero
    mixed = DynamicFeatureFusion(channels=8, reduction=4)
    mixed.load_state_dict({k: v for k, v in fusion.state_dict().items() if k != "gain"})
    gain = torch.linspace(-1, 1, 8).reshape(8, 1, 1)
    fusion.gain.data = gain
    torch.testing.assert_close(fusion(level), level + gain * mixed(level))


@pytest.mark.parametrize(
    "in_features", [("stem", "res2", "res3", "res4"), ("res2", "res3", "res4"), ("res3", "res4")]
)
def test_table_three_s_levels(small_resnet, in_features, assert_every_gradient):
    model = _dce(small_resnet(), in_features=in_features)
    out = model(torch.randn(2, 3, 64, 96))
    assert list(out) == ["p3"]
    assert out["p3"].shape == (2, 16, 8, 12)
    shape = model.output_shape()["p3"]
    assert (shape.channels, shape.stride) == (16, 8)
    assert model.size_divisibility == 16
    out["p3"].square().mean().backward()
    assert_every_gradient(model)


def test_unknown_init_and_missing_levels_are_named(small_resnet):
    with pytest.raises(ValueError, match=r"identity.*'zero'"):
        DynamicFeatureFusion(channels=8, init="zero")
    with pytest.raises(ValueError, match=r"res5.*res2"):
        _dce(small_resnet(), in_features=("res3", "res5"))
    with pytest.raises(ValueError, match="reference='res3'"):
        _dce(small_resnet(), in_features=("res2", "res4"))
