"""One pick of Soft-NMS; the loops around it have tests of their own."""

import torch

from acnet.layers.soft_nms_step import areas, iou_with, pick_best


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
