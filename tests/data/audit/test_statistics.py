"""What a set holds."""

import json

import numpy as np
import pytest
import torch
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.structures import Boxes, pairwise_iou
from numpy.testing import assert_allclose

from acnet.data.audit import findings
from acnet.data.audit.findings import best_anchor_iou, count_edges, describe, size_edges
from tests.data.audit.fake_source import annotated

PHOTOS = [
    annotated("a.jpg", [[24, 24, 56, 56], [-10, 0, 10, 40]], names=("papule", "nodule")),
    annotated("b.jpg", [[24, 24, 56, 56]], names=("papule",), grade=2),
    annotated("c.jpg"),
]
SPLITS = {"train": ["a.jpg", "b.jpg", "lost.jpg"], "test": ["c.jpg"]}


def test_numbers_that_a_reader_counts():
    told = describe(PHOTOS, SPLITS)
    assert (told.photos, told.read, told.boxes) == (4, 3, 3)
    assert list(told.names.items()) == [("papule", 2), ("nodule", 1)]
    assert {s: (size.photos, size.boxes) for s, size in told.splits.items()} == {
        "train": (3, 3),
        "test": (1, 0),
    }
    assert told.photos_by_grade == {0: 2, 2: 1}  # the listed grade goes before the count
    assert_allclose(told.sizes_px, [32, 20, 32])  # the second is 10 x 40 inside its photo
    assert told.counts.tolist() == [2, 1, 0]
    # 10 x 40 at (0, 0) to (10, 40): the best of the paper's anchors is 22.6 x 45.3 at x = 8.
    assert told.anchor_share == 2 / 3

    values = told.as_dict()
    json.dumps(values, allow_nan=False)
    assert sum(values["sizes_px"]["histogram"]["numbers"]) == 3
    assert sum(values["counts"]["histogram"]["numbers"]) == 3
    assert values["counts"]["percentiles"]["50"] == 1


def test_an_empty_set_has_no_shares():
    told = describe([], {"train": []}).as_dict()
    assert (told["photos"], told["boxes"], told["anchor_share"]) == (0, 0, None)
    json.dumps(told, allow_nan=False)


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("edges_of", "values"),
    [
        *((size_edges, values) for values in (RNG.uniform(0.5, 900, 200), [4.0], [2.0, 4.0, 8.0])),
        *((count_edges, values) for values in (RNG.integers(0, 300, 200), [0], [19, 20, 21])),
    ],
)
def test_every_value_is_in_a_bin_of_its_histogram(edges_of, values):
    edges = edges_of(np.array(values))
    assert (np.diff(edges) > 0).all()
    assert edges[0] <= min(values) <= max(values) < edges[-1]


@pytest.mark.parametrize("image_hw", [(96, 128), (75, 61)])
@pytest.mark.parametrize(
    ("sizes_px", "ratios", "stride"),
    [
        ((32.0, 64.0, 128.0, 256.0), (0.5, 1.0, 2.0), 8),
        ((16.0, 24.0), (1.0,), 16),
        ((10.0, 40.0), (0.3, 3.0), 4),
    ],
)
def test_the_best_iou_is_that_over_every_anchor_at_every_place(
    monkeypatch, image_hw, sizes_px, ratios, stride
):
    monkeypatch.setattr(findings, "ANCHOR_SIZES_PX", sizes_px)
    monkeypatch.setattr(findings, "ANCHOR_RATIOS", ratios)
    monkeypatch.setattr(findings, "ANCHOR_STRIDE_PX", stride)
    height, width = image_hw
    generator = DefaultAnchorGenerator(
        sizes=[sizes_px], aspect_ratios=[ratios], strides=[stride], offset=0.0
    )
    (everywhere,) = generator([torch.zeros(1, 1, -(-height // stride), -(-width // stride))])
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, [width - 4, height - 4], (200, 2))
    ends = corners + rng.uniform(2, 60, (200, 2))
    boxes = np.concatenate([corners, np.minimum(ends, [width, height])], axis=1)
    slow = pairwise_iou(Boxes(torch.tensor(boxes)), everywhere).max(dim=1).values
    assert_allclose(best_anchor_iou(boxes, image_hw), slow.numpy(), atol=1e-5)


def test_a_box_on_an_anchor_and_one_between_two():
    # Centred on the grid point (40, 40): the anchor itself. Moved by half a stride along x, the
    # nearest anchor shares 28 x 32 of 2 * 1024 - 896 = 1152 px: 7/9.
    boxes = np.array([[24.0, 24, 56, 56], [28.0, 24, 60, 56]])
    assert_allclose(best_anchor_iou(boxes, (100, 100)), [1.0, 7 / 9])
    assert best_anchor_iou(np.zeros((0, 4)), (100, 100)).shape == (0,)
