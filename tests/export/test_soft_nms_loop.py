"""Soft-NMS as a loop, against the one that the model uses."""

import pytest
import torch

from acnet.export.soft_nms_loop import SoftNMSLoop
from acnet.layers import soft_nms

OPTIONS = {"iou_threshold": 0.3, "sigma": 0.5, "score_floor": 0.01}


def candidates(num_images: int, num_boxes: int):
    corners = torch.rand(num_images, num_boxes, 2) * 60
    boxes = torch.cat([corners, corners + 10 + torch.rand(num_images, num_boxes, 2) * 20], dim=2)
    classes = torch.arange(num_boxes) % 3
    return boxes, torch.rand(num_images, num_boxes), classes


def test_by_hand():
    # IoU of the two boxes is 50 / 150, so the second keeps 2/3 of its 0.6; the third is below the
    # floor, and the fourth place stays empty.
    boxes = torch.tensor([[[0.0, 0, 10, 10], [5, 0, 15, 10], [40, 40, 50, 50]]])
    loop = SoftNMSLoop(method="linear", max_detections=4, **OPTIONS)
    found, scores, classes = loop(
        boxes, torch.tensor([[0.9, 0.6, 0.009]]), torch.zeros(3, dtype=torch.int64)
    )
    torch.testing.assert_close(scores, torch.tensor([[0.9, 0.4, -1.0, -1.0]]))
    assert found[0, :2].tolist() == boxes[0, :2].tolist()
    assert classes.tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("method", ["linear", "gaussian"])
@pytest.mark.parametrize("max_detections", [10, 80])
def test_same_as_the_models_own(method, max_detections):
    boxes, scores, classes = candidates(3, 80)
    scores[1, 5:] = -1  # of other lengths
    scores[2] = -1
    loop = SoftNMSLoop(method=method, max_detections=max_detections, **OPTIONS)
    found_boxes, found_scores, found_classes = loop(boxes, scores, classes)
    for image in range(3):
        real = scores[image] >= 0
        keep, decayed = soft_nms(
            boxes[image][real],
            scores[image][real],
            classes[real],
            method=method,
            max_detections=max_detections,
            **OPTIONS,
        )
        is_found = found_scores[image] >= 0
        assert torch.equal(found_boxes[image][is_found], boxes[image][real][keep])
        assert torch.equal(found_classes[image][is_found], classes[real][keep])
        torch.testing.assert_close(found_scores[image][is_found], decayed, rtol=0, atol=1e-6)
        assert is_found.sum() == len(keep)  # and the rest is -1
    assert (found_scores[2] == -1).all()
