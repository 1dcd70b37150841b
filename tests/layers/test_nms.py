import pytest
import torch
import torchvision
from hypothesis import example, given, settings
from hypothesis import strategies as st

from acnet.layers import nms


def _lesions(count, seed, spread=300.0):
    """Boxes in clusters on whole pixels, with few different scores: many ties and exact IoUs."""
    generator = torch.Generator().manual_seed(seed)
    centres = (torch.rand(8, 2, generator=generator) * spread).round()
    corners = centres[torch.randint(8, (count,), generator=generator)]
    corners = corners + torch.randint(-6, 7, (count, 2), generator=generator)
    sizes = torch.randint(1, 40, (count, 2), generator=generator)
    scores = torch.randint(0, 50, (count,), generator=generator) / 50
    return torch.cat([corners, corners + sizes], dim=1), scores


def test_by_hand():
    # Box 1 shares 80 x 100 of 100 x 100 with box 0: IoU = 8000 / 12000 = 2/3. Box 2 shares
    # 60 x 100 with box 0 (6000 / 14000 = 3/7) and 80 x 100 with box 1.
    boxes = torch.tensor([[0.0, 0, 100, 100], [20, 0, 120, 100], [40, 0, 140, 100]])
    scores = torch.tensor([0.7, 0.8, 0.9])
    assert nms(boxes, scores, 0.7).tolist() == [2, 1, 0]
    assert nms(boxes, scores, 0.6).tolist() == [2, 0]  # box 1 goes, so it cannot drop box 0
    assert nms(boxes, scores, 0.4).tolist() == [2]
    assert nms(boxes, scores, 0.7, max_keep=2).tolist() == [2, 1]


def test_an_overlap_equal_to_the_threshold_stays():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5]])  # IoU = 50 / 100
    assert nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist() == [0, 1]
    assert nms(boxes, torch.tensor([0.9, 0.8]), 0.5 - 1e-9).tolist() == [0]


@given(
    st.integers(0, 400),
    st.integers(0, 2**31),
    st.sampled_from([0.0, 0.1, 0.3, 1 / 3, 0.5, 0.7, 1.0]),
    st.sampled_from([None, 0, 1, 17, 1000]),
)
@example(0, 0, 0.7, 10)
@settings(max_examples=60, deadline=None)
def test_equals_torchvision(count, seed, iou_threshold, max_keep):
    boxes, scores = _lesions(count, seed)
    expected = torchvision.ops.nms(boxes, scores, iou_threshold)[:max_keep]
    assert nms(boxes, scores, iou_threshold, max_keep).tolist() == expected.tolist()


def test_equals_torchvision_on_numbers_that_are_none():
    boxes, scores = _lesions(300, seed=0)
    boxes[::7, 1], boxes[3::11, 2], boxes[5::13] = torch.nan, torch.inf, 0.0
    boxes[6::17, 2:] = -boxes[6::17, 2:]  # corners in the wrong order
    scores[4::19], scores[2::23], scores[1::29] = torch.nan, -torch.inf, torch.inf
    for iou_threshold in (0.0, 0.3, 0.7):
        expected = torchvision.ops.nms(boxes, scores, iou_threshold)
        assert nms(boxes, scores, iou_threshold).tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_types_are_compared_in_float32(dtype):
    boxes, scores = _lesions(100, seed=1)
    boxes, scores = (boxes / 3).to(dtype), (scores / 3).to(dtype)
    expected = torchvision.ops.nms(boxes.float(), scores.float(), 0.5)
    assert nms(boxes, scores, 0.5).tolist() == expected.tolist()


def test_strided_inputs_and_inputs_with_gradients():
    boxes, scores = _lesions(100, seed=2)
    expected = nms(boxes, scores, 0.5)
    strided_boxes = boxes.T.contiguous().T.requires_grad_()
    strided_scores = scores.repeat_interleave(2).requires_grad_()[::2]
    assert nms(strided_boxes, strided_scores, 0.5).equal(expected)
    assert boxes.equal(_lesions(100, seed=2)[0])  # the input is left as it is


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_torch_compiles_and_exports_it():
    class Keep(torch.nn.Module):
        def forward(self, boxes, scores):
            return nms(boxes, scores, 0.5)

    boxes, scores = _lesions(60, seed=3)
    exported = torch.export.export(Keep(), (boxes, scores)).module()
    assert exported(boxes, scores).equal(nms(boxes, scores, 0.5))
    traced = torch.jit.trace(Keep(), (boxes, scores))
    other = _lesions(60, seed=4)
    assert traced(*other).equal(nms(*other, 0.5))


def test_errors_say_what_was_received():
    boxes, scores = _lesions(4, seed=0)
    with pytest.raises(ValueError, match=r"shape \(N, 4\)\. Received \(4, 3\)"):
        nms(boxes[:, :3], scores, 0.5)
    with pytest.raises(ValueError, match=r"4 boxes and scores of shape \(3,\)"):
        nms(boxes, scores[:3], 0.5)
    with pytest.raises(ValueError, match=r"at least 0\. Received -1"):
        nms(boxes, scores, 0.5, max_keep=-1)
