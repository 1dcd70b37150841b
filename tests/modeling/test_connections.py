import torch
import torch.nn.functional as F

from acnet.modeling import CompositeConnection


def test_equals_upsampling_before_the_convolution():
    module = CompositeConnection(high_channels=6, low_channels=4, zero_init=False).eval()
    high, low = torch.randn(2, 6, 3, 4), torch.randn(2, 4, 6, 8)
    upsampled = F.interpolate(high, scale_factor=2, mode="nearest")
    torch.testing.assert_close(module(high, low, low), module.project(upsampled))


def test_zero_init_adds_nothing_at_first():
    module = CompositeConnection(high_channels=6, low_channels=4)
    term = module(torch.randn(2, 6, 3, 4), torch.randn(2, 4, 6, 8), torch.randn(2, 4, 6, 8))
    torch.testing.assert_close(term, torch.zeros(2, 4, 6, 8))


def test_every_parameter_gets_a_gradient(assert_every_gradient):
    module = CompositeConnection(high_channels=6, low_channels=4, zero_init=False)
    low = torch.randn(2, 4, 6, 8)
    module(torch.randn(2, 6, 3, 4), low, low).square().sum().backward()
    # A sum of squares after BN does not depend on the scale before it, up to its epsilon.
    assert_every_gradient(module)
