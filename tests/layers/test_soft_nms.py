import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torchvision.ops import batched_nms, box_iou

from acnet.layers import soft_nms, soft_nms_padded
from acnet.layers.soft_nms import areas, iou_with, pick_best


def _random_boxes(count, classes=3, spread=60.0):
    corners = torch.rand(count, 2) * spread
    boxes = torch.cat([corners, corners + 5 + torch.rand(count, 2) * 30], dim=1)
    return boxes, torch.rand(count), torch.randint(classes, (count,))


def _slow_soft_nms(boxes, scores, classes, method, iou_threshold, sigma, score_floor):
    """Soft-NMS as its paper's Fig. 2 states it, in float64, box by box and class by class."""
    overlaps, scores = box_iou(boxes.double(), boxes.double()).tolist(), scores.double().tolist()
    alive, picks = list(range(len(scores))), []
    while alive:
        best = max(alive, key=lambda index: (scores[index], -index))
        if scores[best] < score_floor:
            break
        picks.append((best, scores[best]))
        alive.remove(best)
        for other in alive:
            iou = overlaps[best][other]
            if classes[other] != classes[best]:
                continue
            if method == "gaussian":
                scores[other] *= math.exp(-(iou**2) / sigma)
            elif iou > iou_threshold:
                scores[other] *= 1 - iou
    return picks


def test_decay_by_hand():
    # The second box shares 50 x 100 of 100 x 100 with the first: IoU = 5000 / 15000 = 1/3 > 0.3,
    # so its 0.9 becomes 0.9 * 2/3 = 0.6, below the third box, which nothing touches.
    boxes = torch.tensor([[0.0, 0, 100, 100], [50, 0, 150, 100], [300, 0, 400, 100]])
    keep, scores = soft_nms(boxes, torch.tensor([1.0, 0.9, 0.8]), torch.zeros(3))
    assert keep.tolist() == [0, 2, 1]
    torch.testing.assert_close(scores, torch.tensor([1.0, 0.8, 0.6]))
    # The Gaussian leaves 0.9 * exp(-(1/3)^2 / 0.5) = 0.9 * exp(-2/9).
    _, scores = soft_nms(boxes[:2], torch.tensor([1.0, 0.9]), torch.zeros(2), method="gaussian")
    torch.testing.assert_close(scores, torch.tensor([1.0, 0.9 * math.exp(-2 / 9)]))


def test_without_overlap_above_the_threshold_it_is_hard_nms():
    # Identical boxes decay to zero and distant ones are left alone: what hard NMS does.
    boxes, scores, classes = _random_boxes(20, spread=2000.0)
    boxes, classes = boxes.repeat(2, 1), classes.repeat(2)
    scores = torch.cat([scores, scores * 0.9])
    keep, decayed = soft_nms(boxes, scores, classes, iou_threshold=0.5)
    hard = batched_nms(boxes, scores, classes, 0.5)
    assert keep.tolist() == hard.tolist()
    torch.testing.assert_close(decayed, scores[hard])


def test_a_picked_box_stays_picked_when_its_twin_decays_it():
    # The twin's decay is 1 - 1 = 0, which must not lift the first box back to a score of 0.
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 60, 60]])
    keep, scores = soft_nms(boxes, torch.tensor([0.9, 0.8, 0.0]), torch.zeros(3), score_floor=0.0)
    assert keep.tolist() == [0, 1, 2]
    torch.testing.assert_close(scores, torch.tensor([0.9, 0.0, 0.0]))


def test_equal_scores_keep_the_order_of_the_input():
    boxes, _, classes = _random_boxes(12, spread=5000.0)
    keep, _ = soft_nms(boxes, torch.full((12,), 0.5), classes)
    assert keep.tolist() == list(range(12))


def test_half_precision_boxes_are_compared_in_float32():
    boxes, scores, classes = _random_boxes(30)
    keep, decayed = soft_nms(boxes.bfloat16(), scores.bfloat16(), classes)
    same, same_scores = soft_nms(boxes.bfloat16().float(), scores.bfloat16().float(), classes)
    assert decayed.dtype == torch.float32
    assert keep.tolist() == same.tolist()
    torch.testing.assert_close(decayed, same_scores)


def test_errors_say_what_was_received():
    boxes, scores, classes = _random_boxes(4)
    with pytest.raises(ValueError, match=r"method='hard'.*linear"):
        soft_nms(boxes, scores, classes, method="hard")
    with pytest.raises(ValueError, match=r"above 0\. Received 0"):
        soft_nms(boxes, scores, classes, method="gaussian", sigma=0)
    with pytest.raises(ValueError, match=r"floor .*Received -1"):
        soft_nms(boxes, scores, classes, score_floor=-1)
    with pytest.raises(ValueError, match=r"max_detections .*Received -5"):
        soft_nms(boxes, scores, classes, max_detections=-5)
    with pytest.raises(ValueError, match="4 boxes, 3 scores and 4 classes"):
        soft_nms(boxes, scores[:3], classes)


def _lesions(count, num_classes, seed):
    """Candidates of a detector: clusters around lesions and a background, scores that differ."""
    random = np.random.default_rng(seed)
    lesions = np.concatenate([random.uniform(0, 400, (9, 2)), random.uniform(12, 80, (9, 2))], 1)
    chosen = lesions[random.integers(9, size=count)]
    centres = chosen[:, :2] + random.normal(0, 0.15, (count, 2)) * chosen[:, 2:]
    sizes = chosen[:, 2:] * np.exp(random.normal(0, 0.2, (count, 2)))
    boxes = torch.from_numpy(np.concatenate([centres - sizes / 2, centres + sizes / 2], 1)).float()
    scores = torch.from_numpy(random.permutation(count) + 1).float() / (count + 1)
    return boxes, scores, torch.from_numpy(random.integers(num_classes, size=count))


def _padded(boxes, scores, classes, max_detections=None, **options):
    """`soft_nms_padded` in float64, with the output of `soft_nms`."""
    limit = len(scores) if max_detections is None else max_detections
    keep, decayed = soft_nms_padded(
        boxes, scores.double(), classes, max_detections=limit, **options
    )
    assert keep.shape == decayed.shape == (limit,)
    picks = int((decayed >= 0).sum())
    assert (keep[picks:] == 0).all()
    assert (decayed[picks:] == -1).all()
    return keep[:picks], decayed[:picks].float()


@pytest.mark.parametrize("function", [soft_nms, _padded])
@pytest.mark.parametrize("method", ["linear", "gaussian"])
@pytest.mark.parametrize("num_classes", [1, 20])
@pytest.mark.parametrize("floor", [0.0, 0.01])
def test_equals_the_loop_of_the_paper(function, method, num_classes, floor):
    boxes, scores, classes = _lesions(250, num_classes, seed=num_classes)
    keep, decayed = function(boxes, scores, classes, method=method, score_floor=floor)
    slow = _slow_soft_nms(boxes, scores, classes, method, 0.3, 0.5, floor)
    # In float64 no two scores here are so close that rounding could exchange them.
    assert keep.tolist() == [index for index, _ in slow]
    expected = torch.tensor([score for _, score in slow], dtype=torch.float32)
    torch.testing.assert_close(decayed, expected, rtol=0, atol=1e-7)
    head, _ = function(boxes, scores, classes, method=method, score_floor=floor, max_detections=25)
    assert head.tolist() == keep[:25].tolist()


@given(
    st.integers(0, 200),
    st.integers(1, 5),
    st.integers(0, 2**31),
    st.sampled_from(["linear", "gaussian"]),
    st.sampled_from([None, 0, 1, 30]),
    st.sampled_from([0.0, 1e-3, 0.3]),
)
@example(0, 1, 0, "linear", 5, 1e-3)
@settings(max_examples=40, deadline=None)
def test_both_paths_pick_the_same(count, num_classes, seed, method, max_detections, floor):
    generator = torch.Generator().manual_seed(seed)
    # Whole pixels and few scores: ties, equal boxes, boxes without area, overlaps at the threshold.
    corners = torch.randint(0, 30, (count, 2), generator=generator).float()
    boxes = torch.cat(
        [corners, corners + torch.randint(-1, 20, (count, 2), generator=generator)], 1
    )
    scores = torch.randint(-1, 20, (count,), generator=generator) / 20
    classes = torch.randint(0, num_classes, (count,), generator=generator)
    options = {"method": method, "max_detections": max_detections, "score_floor": floor}
    keep, decayed = soft_nms(boxes, scores, classes, **options)
    same, same_decayed = _padded(boxes, scores, classes, **options)
    assert keep.dtype == torch.long
    assert keep.tolist() == same.tolist()
    torch.testing.assert_close(decayed, same_decayed, rtol=0, atol=1e-6)


@pytest.mark.parametrize("function", [soft_nms, _padded])
@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_numbers_that_are_none(function, method):
    boxes, scores, classes = _lesions(200, 1, seed=0)
    boxes[::9, 2], boxes[1::10, 0], boxes[2::11, 1] = torch.inf, -torch.inf, torch.nan
    scores[3::12], scores[4::13], scores[5::14] = torch.nan, -torch.inf, -0.0
    scores[190] = torch.inf
    keep, decayed = function(boxes, scores, classes, method=method, score_floor=0.0)
    assert sorted(keep.tolist()) == (scores >= 0).nonzero().flatten().tolist()
    assert keep[0] == 190
    assert not decayed.isnan().any()
    # Boxes that are none leave others alone, and keep their scores.
    none = ~boxes[keep].isfinite().all(dim=1)
    torch.testing.assert_close(decayed[none], scores[keep][none].clamp(min=0))
    finite = boxes.isfinite().all(dim=1) & (scores >= 0)
    _, expected = function(
        boxes[finite], scores[finite], classes[finite], method=method, score_floor=0.0
    )
    torch.testing.assert_close(decayed[~none], expected)


def test_a_batch_is_its_images_one_by_one():
    images = [_lesions(60, 3, seed) for seed in range(4)]
    boxes, scores, classes = (torch.stack(each) for each in zip(*images, strict=True))
    scores[2, 10:] = -1  # padding
    keep, decayed = soft_nms_padded(boxes, scores, classes, max_detections=40)
    for index in range(4):
        one = soft_nms_padded(boxes[index], scores[index], classes[index], max_detections=40)
        assert one[0].equal(keep[index])
        assert one[1].equal(decayed[index])
    assert keep[2].max() < 10


@pytest.mark.parametrize("labels", [[-7, 10**12, 3], [0.5, 1.5, 2.5], [2000, 0, 2**40]])
def test_any_numbers_name_classes(labels):
    boxes, scores, classes = _lesions(100, 3, seed=5)
    named = torch.tensor(labels)[classes]
    for one, other in zip(
        soft_nms(boxes, scores, named), soft_nms(boxes, scores, classes), strict=True
    ):
        assert one.equal(other)


def test_strided_inputs_and_inputs_with_gradients():
    boxes, scores, classes = _lesions(100, 2, seed=6)
    expected = soft_nms(boxes, scores, classes)
    strided = (
        boxes.T.contiguous().T.requires_grad_(),
        scores.repeat_interleave(2).requires_grad_()[::2],
        classes.int().repeat_interleave(3)[::3],
    )
    for one, other in zip(soft_nms(*strided), expected, strict=True):
        assert one.equal(other)
        assert not one.requires_grad
    assert scores.equal(_lesions(100, 2, seed=6)[1])  # the input is left as it is


def test_torch_exports_it():
    class SoftNMS(torch.nn.Module):
        def forward(self, boxes, scores, classes):
            return soft_nms_padded(boxes, scores, classes, max_detections=25)

    boxes, scores, classes = _lesions(60, 2, seed=7)
    exported = torch.export.export(SoftNMS(), (boxes, scores, classes)).module()
    for one, other in zip(
        exported(boxes, scores, classes), SoftNMS()(boxes, scores, classes), strict=True
    ):
        assert one.equal(other)


def test_iou_by_hand():
    # 10 x 10 and 10 x 10, shifted by 5: 50 of 150. The last two have no area.
    one = torch.tensor([[[0.0, 0.0, 10.0, 10.0]]])
    boxes = torch.tensor([[[5.0, 0.0, 15.0, 10.0], [0.0, 0.0, 10.0, 10.0], [3.0, 3.0, 3.0, 9.0]]])
    found = iou_with(one, boxes, areas(boxes))
    torch.testing.assert_close(found, torch.tensor([[1 / 3, 1.0, 0.0]]))
    point = torch.zeros(1, 1, 4)
    assert iou_with(point, point, areas(point)).tolist() == [[0.0]]


def test_one_pick_by_hand():
    # The best of class 0 overlaps the second by 1/3, which linear decay takes off; the third has
    # the place of the first and another class, the fourth is padding.
    first, shifted = [0.0, 0.0, 10.0, 10.0], [5.0, 0.0, 15.0, 10.0]
    boxes = torch.tensor([first, shifted, first, first])
    scores = torch.tensor([0.9, 0.6, 0.5, -1.0])
    classes = torch.tensor([0, 0, 1, 0])
    rule = {"method": "linear", "iou_threshold": 0.3, "sigma": 0.5}
    best, score, remaining = pick_best(scores, boxes, areas(boxes), classes, **rule)
    assert (best.tolist(), score.tolist()) == ([0], scores[:1].tolist())
    torch.testing.assert_close(remaining, torch.tensor([-1.0, 0.4, 0.5, -1.0]))
