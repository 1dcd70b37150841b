"""Folding: `norm(conv(x))` as one convolution."""

import pytest
import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d, get_norm
from torch import nn

from acnet.inference.optimize_folding import fold_norms


def _with_statistics(norm: nn.Module) -> nn.Module:
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        if norm.weight is not None:
            norm.weight.normal_()
            norm.bias.normal_()
    return norm.eval()


def test_by_hand():
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
def test_same_as_before(norm, bias):
    conv = Conv2d(4, 6, 3, padding=1, bias=bias, norm=_with_statistics(norm)).eval()
    x = torch.randn(2, 4, 5, 7)
    expected = conv(x)
    fold_norms(conv)
    assert conv.norm is None
    torch.testing.assert_close(conv(x), expected, rtol=1e-4, atol=1e-5)


def test_a_norm_that_looks_at_its_input_stays():
    conv = Conv2d(4, 32, 1, norm=get_norm("GN", 32)).eval()
    assert fold_norms(conv) == 0
    assert conv.norm is not None


def test_training_mode_is_refused():
    conv = Conv2d(4, 6, 1, norm=nn.BatchNorm2d(6))
    with pytest.raises(ValueError, match=r"training mode; call model.eval\(\) first"):
        fold_norms(conv)
    assert conv.norm is not None
