"""The detector of fixed sizes answers as the model does."""

import numpy as np
import pytest
import torch
from detectron2.config import LazyCall as L
from torch import nn

from acnet.config import load_config
from acnet.engine.train import build_model
from acnet.errors import UserError
from acnet.export.detector import FixedSizeDetector
from acnet.export.nms import torch_nms
from acnet.inference.part_detection import detect
from acnet.layers import soft_nms
from acnet.modeling import make_resnet_stage
from tests.export.models import FEW, IN_FP32, TILE, as_input, picture, random_model, small_config

WHOLE = [0.0, 0.0, TILE, TILE]


def fixed(model: nn.Module, **options) -> FixedSizeDetector:
    options = {"tile_px": TILE, "nms": torch_nms, "soft_nms_inside": True, **options}
    return FixedSizeDetector(model, **options).eval()


def tiles(pictures: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.full((len(pictures), 3, TILE, TILE), 255, dtype=torch.uint8)  # not looked at
    for image, one in zip(images, pictures, strict=True):
        image[:, : one.shape[0], : one.shape[1]] = as_input(one)["image"]
    return images, torch.tensor([one.shape[:2] for one in pictures], dtype=torch.float32)


def assert_same(found, expected):
    boxes, scores, classes = found
    is_found = scores >= 0
    assert len(expected) > 5
    torch.testing.assert_close(boxes[is_found], expected.pred_boxes.tensor, rtol=0, atol=1e-4)
    torch.testing.assert_close(scores[is_found], expected.scores, rtol=0, atol=1e-6)
    assert torch.equal(classes[is_found], expected.pred_classes)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return random_model(small_config(classes=3))


PICTURES = [picture(TILE, TILE), picture(60, 75, seed=1)]  # the second is padded


@torch.no_grad()
def test_same_detections_as_the_model_in_a_padded_batch(model):
    images, sizes_hw = tiles(PICTURES)
    found = fixed(model)(images, sizes_hw, torch.tensor([WHOLE, WHOLE]))
    expected = [one["instances"] for one in model([as_input(one) for one in PICTURES])]
    assert not expected[0].pred_classes.eq(expected[0].pred_classes[0]).all()
    for index, one in enumerate(expected):
        assert_same([output[index] for output in found], one)


@torch.no_grad()
def test_parts_are_answered_for_as_by_the_model(model):
    images, sizes_hw = tiles(PICTURES)
    parts = [np.array([0.0, 20.0, 50.0, 96.0]), np.array([10.0, 0.0, 75.0, 40.0])]
    found = fixed(model)(images, sizes_hw, torch.tensor(np.stack(parts), dtype=torch.float32))
    expected = detect(model, [as_input(one) for one in PICTURES], parts)
    for index, one in enumerate(expected):
        assert_same([output[index] for output in found], one)


@torch.no_grad()
def test_candidates_and_soft_nms_outside_are_soft_nms_inside(model):
    images, sizes_hw = tiles(PICTURES)
    whole = torch.tensor([WHOLE, WHOLE])
    inside = fixed(model)(images, sizes_hw, whole)
    outside = fixed(model, soft_nms_inside=False)
    boxes, scores, classes = (output[0] for output in outside(images, sizes_hw, whole))
    assert scores.shape == (30 * 3,)  # proposals times classes
    real = scores >= 0
    keep, decayed = soft_nms(boxes[real], scores[real], classes[real], **outside.decay)
    is_found = inside[1][0] >= 0
    torch.testing.assert_close(inside[1][0][is_found], decayed)
    torch.testing.assert_close(inside[0][0][is_found], boxes[real][keep])


@torch.no_grad()
def test_a_picture_without_candidates_has_empty_places(model):
    images, sizes_hw = tiles(PICTURES)
    nowhere = torch.tensor([[-9.0, -9.0, -8.0, -8.0]] * 2)
    boxes, scores, classes = fixed(model)(images, sizes_hw, nowhere)
    assert boxes.shape == (2, 20, 4)
    assert (scores == -1).all()
    assert not boxes.any()
    assert not classes.any()


@torch.no_grad()
def test_the_whole_acnet_with_the_papers_box_head():
    # All parts of the backbone, and res5 on pooled maps of 14 x 14 with as many samples as a box
    # has cells.
    cfg = load_config("toy/acnet_r18", [IN_FP32, *FEW])
    cfg.model.roi_heads = load_config("acne04/acnet_r101").model.roi_heads
    cfg.model.roi_heads.res5 = L(make_resnet_stage)(depth=18, stage=5, norm="FrozenBN")
    cfg.model.roi_heads.box_predictor.input_shape.channels = 512
    model = random_model(cfg)
    images, sizes_hw = tiles(PICTURES)
    found = fixed(model)(images, sizes_hw, torch.tensor([WHOLE, WHOLE]))
    for index, one in enumerate(model([as_input(one) for one in PICTURES])):
        assert_same([output[index] for output in found], one["instances"])


def test_a_tile_that_does_not_suit_the_model_is_refused(model):
    with pytest.raises(UserError, match=r"Received --tile 100; use 96\."):
        fixed(model, tile_px=100)
    with pytest.raises(UserError, match=r"use 16\."):
        fixed(model, tile_px=4)


def test_models_with_other_parts_are_refused(model):
    with pytest.raises(UserError, match="Received a Linear with other parts"):
        fixed(nn.Linear(1, 1))
    cfg = small_config()
    cfg.model.roi_heads.box_predictor._target_ = (
        "detectron2.modeling.roi_heads.fast_rcnn.FastRCNNOutputLayers"
    )
    with pytest.raises(UserError, match="Received a ACNet with other parts"):
        fixed(build_model(cfg))
