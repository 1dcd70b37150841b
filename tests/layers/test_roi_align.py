import sys

import pytest
import torch
from torchvision.ops import roi_align as torchvision_roi_align

from acnet.layers import roi_align

# Of a map of 13x17 cells of 8 pixels: 136 wide, 104 high.
BOXES = torch.tensor(
    [
        [16.0, 24.0, 72.5, 80.25],
        [0.0, 0.0, 136.0, 104.0],  # the whole map
        [40.3, 50.1, 40.9, 50.2],  # smaller than a cell
        [30.0, 30.0, 30.0, 30.0],  # of no size
        [-50.0, -20.0, 30.0, 60.0],  # partly outside
        [120.0, 90.0, 300.0, 200.0],
        [-90.0, -80.0, -40.0, -30.0],  # wholly outside
        [500.0, 10.0, 520.0, 30.0],
        [60.0, 40.0, 20.0, 10.0],  # turned inside out
        [8.0, 8.0, 15.0, 103.0],  # narrow
    ]
)


def _features(**kwargs):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 6, 13, 17, generator=generator, **kwargs)
    return features.contiguous(memory_format=torch.channels_last).requires_grad_()


def test_one_bin_over_two_cells_is_their_mean():
    # Columns 0, 1, 2, 3 hold 0, 1, 2, 3. The box covers columns 1 and 2 whole; with two samples
    # a bin they lie at the cells' centres, so the bin is (1 + 2) / 2.
    ramp = torch.arange(4.0).expand(1, 1, 3, 4)
    pooled = roi_align(ramp, [torch.tensor([[8.0, 0.0, 24.0, 24.0]])], 1, 1 / 8, 2, True)
    torch.testing.assert_close(pooled, torch.tensor([[[[1.5]]]]))


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling_ratio", [0, 1, 2, 3])
@pytest.mark.parametrize("output_size", [1, 7, (3, 5)])
def test_equals_torchvision_with_its_gradient(output_size, sampling_ratio, aligned):
    features, boxes = _features(), [BOXES, BOXES[:3] + 4]
    options = (output_size, 1 / 8, sampling_ratio, aligned)
    ours, theirs = (
        function(features, boxes, *options) for function in (roi_align, torchvision_roi_align)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    towards = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    gradients = [torch.autograd.grad(pooled, features, towards)[0] for pooled in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_boxes_with_their_image_first():
    boxes = torch.cat([torch.tensor([1.0, 0.0] * 5)[:, None], BOXES], dim=1)
    pooled = [f(_features(), boxes, 4, 1 / 8, 0, True) for f in (roi_align, torchvision_roi_align)]
    torch.testing.assert_close(*pooled, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("chunk_bytes", [1, 2**30])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_form_for_export_equals_the_windows(sampling_ratio, chunk_bytes, monkeypatch):
    monkeypatch.setattr(sys.modules[roi_align.__module__], "_CHUNK_BYTES", chunk_bytes)
    features = _features()
    boxes = BOXES[BOXES.abs().amax(dim=1) < 140]  # no longer than the map
    padded = torch.stack([boxes, boxes.flip(0)])
    options = (4, 1 / 8, sampling_ratio, True)
    dense, windows = (roi_align(features, some, *options) for some in (padded, list(padded)))
    torch.testing.assert_close(dense, windows, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad(p.square().sum(), features)[0] for p in (dense, windows)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-4)


def test_exports_with_any_number_of_images():
    class Pool(torch.nn.Module):
        def forward(self, features, boxes):
            return roi_align(features, boxes, 4, 1 / 8, 0, True)

    padded = BOXES[:3].expand(2, 3, 4)
    images = torch.export.Dim("images", min=1, max=8)
    program = torch.export.export(
        Pool(),
        (_features().detach(), padded.clone()),
        dynamic_shapes={"features": {0: images}, "boxes": {0: images}},
    )
    three = torch.randn(3, 6, 13, 17), BOXES[:9].reshape(3, 3, 4).clamp(0, 104)
    torch.testing.assert_close(program.module()(*three), Pool()(*three))


def test_gradient_in_float64():
    features = _features(dtype=torch.float64)
    boxes = [BOXES.double(), BOXES[:1].double()]
    torch.autograd.gradcheck(lambda x: roi_align(x, boxes, 2, 1 / 8, 2, True), features)


def test_memory_format_and_precision_of_features():
    features, options = _features().detach(), ([BOXES, BOXES], 4, 1 / 8, 2, True)
    pooled = roi_align(features, *options)
    assert pooled.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(roi_align(features.contiguous(), *options), pooled, rtol=0, atol=0)
    rounded = features.bfloat16()
    exact = roi_align(rounded.float(), *options)
    torch.testing.assert_close(roi_align(rounded, *options), exact.bfloat16(), rtol=0, atol=0)


def test_autocast_changes_nothing_forward_or_backward():
    plain, cast = _features(), _features()
    roi_align(plain, [BOXES, BOXES], 4, 1 / 8, 2, True).square().sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        roi_align(cast, [BOXES, BOXES], 4, 1 / 8, 2, True).square().sum().backward()
    torch.testing.assert_close(cast.grad, plain.grad, rtol=0, atol=0)


@pytest.mark.parametrize(
    "boxes", [[torch.zeros(0, 4)] * 2, torch.zeros(0, 5), torch.zeros(2, 0, 4)]
)
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_no_boxes_forward_and_backward(boxes, sampling_ratio):
    features = _features()
    pooled = roi_align(features, boxes, 7, 1 / 8, sampling_ratio, True)
    assert pooled.shape == (0, 6, 7, 7)
    pooled.sum().backward()
    assert features.grad.count_nonzero() == 0


def test_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"Received \(6, 13, 17\)"):
        roi_align(_features()[0], [BOXES], 7)
    with pytest.raises(ValueError, match=r"Received \(10, 4\)"):
        roi_align(_features(), BOXES, 7)
    with pytest.raises(ValueError, match="Received 1 for 2"):
        roi_align(_features(), [BOXES], 7)
