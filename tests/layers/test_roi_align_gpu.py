"""The kernel for GPUs, in Triton's interpreter: torchvision's result and gradient."""

import importlib.util

import pytest

PROGRAM = """
import torch
from torchvision.ops import roi_align
from acnet.layers.roi_align_gpu import PoolBins

torch.manual_seed(0)
ours = torch.randn(2, 5, 9, 11, requires_grad=True)
theirs = ours.detach().clone().requires_grad_()
corners = torch.rand(6, 2) * 60
boxes = torch.cat([torch.arange(6)[:, None] % 2, corners, corners + torch.rand(6, 2) * 60], dim=1)
boxes[5, 1:] = torch.tensor([-30.0, -20, 200, 150])
for aligned in (True, False):
    for ratio in (0, 2):
        for stride in (1, 2):
            found = PoolBins.apply(ours, boxes, (6, 7), 0.125, ratio, aligned, stride)
            expected = roi_align(theirs, boxes, (6, 7), 0.125, ratio, aligned)
            expected = expected[:, :, ::stride, ::stride]
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
            weights = torch.randn_like(expected)
            gradients = [
                torch.autograd.grad(one, of, weights)[0]
                for one, of in ((found, ours), (expected, theirs))
            ]
            torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)
print("compared")
"""


@pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="torch for CPUs comes without Triton"
)
def test_result_and_gradient_are_torchvisions(run_python):
    words = ("-W", "ignore", "-c", PROGRAM)
    assert "compared" in run_python(*words, TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="")
