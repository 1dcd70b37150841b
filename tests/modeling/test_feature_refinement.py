import torch
import torch.nn.functional as F
from torch import nn

from acnet.modeling import FeatureRefinement


def _module(**kwargs):
    return FeatureRefinement(high_channels=6, low_channels=4, **kwargs)


def _levels(batch=2):
    return torch.randn(batch, 6, 4, 5), torch.randn(batch, 4, 8, 10), torch.randn(batch, 4, 8, 10)


def test_equals_the_equations_in_the_order_of_the_paper():
    module = _module(zero_init=False).eval()
    high, low, lead = _levels()
    # phi as the paper writes it: first the interpolation, then the 1x1 convolution.
    upsampled = F.interpolate(high, size=(8, 10), mode="bilinear", align_corners=False)
    phi = F.conv2d(upsampled, module.phi.weight, module.phi.bias)
    fused = F.relu(module.fused_norm(low + phi))
    product = F.relu(module.lead_norm(lead) * fused)
    expected = F.conv2d(product, module.output.weight, module.output.bias, padding=1)
    torch.testing.assert_close(module(high, low, lead), expected)


def test_one_pixel_by_hand():
    # 1x1 maps, one channel, no normalisation: phi = 2 * 3 + 1 = 7, f = relu(-4 + 7) = 3,
    # g = 10 * relu(5 * 3) + 0.5 = 150.5 (a 3x3 kernel sees only its centre).
    module = FeatureRefinement(high_channels=1, low_channels=1, norm="BN", zero_init=False)
    module.fused_norm = module.lead_norm = nn.Identity()
    nn.init.constant_(module.phi.weight, 2.0)
    nn.init.constant_(module.phi.bias, 1.0)
    nn.init.constant_(module.output.weight, 10.0)
    nn.init.constant_(module.output.bias, 0.5)
    pixel = torch.ones(1, 1, 1, 1)
    torch.testing.assert_close(module(3 * pixel, -4 * pixel, 5 * pixel), 150.5 * pixel)


def test_odd_sizes_meet_at_the_size_of_the_low_level():
    high, low = torch.randn(1, 6, 4, 4), torch.randn(1, 4, 7, 9)
    assert _module()(high, low, low).shape == (1, 4, 7, 9)
