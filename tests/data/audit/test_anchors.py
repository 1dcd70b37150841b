"""How anchors fit boxes, compared with all of detectron2's anchors."""

import numpy as np
import pytest
import torch
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.structures import Boxes, pairwise_iou
from numpy.testing import assert_allclose

from acnet.data.audit.statistics import AnchorSet, best_anchor_iou, good_share


@pytest.mark.parametrize("image_hw", [(96, 128), (75, 61)])
@pytest.mark.parametrize(
    "anchors",
    [AnchorSet(), AnchorSet((16.0, 24.0), (1.0,), 16), AnchorSet((10.0, 40.0), (0.3, 3.0), 4)],
)
def test_the_best_iou_is_that_over_every_anchor_at_every_place(image_hw, anchors):
    height, width = image_hw
    stride = anchors.stride_px
    generator = DefaultAnchorGenerator(
        sizes=[anchors.sizes_px], aspect_ratios=[anchors.ratios], strides=[stride], offset=0.0
    )
    (everywhere,) = generator([torch.zeros(1, 1, -(-height // stride), -(-width // stride))])
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, [width - 4, height - 4], (200, 2))
    ends = corners + rng.uniform(2, 60, (200, 2))
    boxes = np.concatenate([corners, np.minimum(ends, [width, height])], axis=1)
    slow = pairwise_iou(Boxes(torch.tensor(boxes)), everywhere).max(dim=1).values
    assert_allclose(best_anchor_iou(boxes, image_hw, anchors), slow.numpy(), atol=1e-5)


def test_a_box_on_an_anchor_and_one_between_two():
    anchors = AnchorSet((32.0,), (1.0,), 8)
    # Centred on the grid point (40, 40): the anchor itself. Moved by half a stride along x, the
    # nearest anchor shares 28 x 32 of 2 * 1024 - 896 = 1152 px: 7/9.
    boxes = np.array([[24.0, 24, 56, 56], [28.0, 24, 60, 56]])
    assert_allclose(best_anchor_iou(boxes, (100, 100), anchors), [1.0, 7 / 9])
    assert best_anchor_iou(np.zeros((0, 4)), (100, 100), anchors).shape == (0,)


def test_the_share_counts_a_half_and_is_unknown_without_boxes():
    assert good_share(np.array([0.5, 0.49, 1.0, 0.0])) == 0.5
    assert good_share(np.zeros(0)) is None
