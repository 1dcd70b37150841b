"""The detector of fixed sizes answers as the model does, and its parts as detectron2's."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim
from torchvision.ops import nms

from acnet.config import available_configs, load_config
from acnet.engine.train import build_model
from acnet.errors import UserError
from acnet.export.detector import FixedSizeDetector, centred_in, padded_nms
from acnet.inference.eager import detect
from tests.export.models import (
    FEW,
    IN_FP32,
    TILE,
    as_input,
    paper_config,
    picture,
    random_model,
    small_config,
)


def fixed(model: nn.Module, **options) -> FixedSizeDetector:
    return FixedSizeDetector(model, **{"tile_px": TILE, **options}).eval()


def tiles(pictures: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.full((len(pictures), 3, TILE, TILE), 255, dtype=torch.uint8)  # not looked at
    for image, one in zip(images, pictures, strict=True):
        image[:, : one.shape[0], : one.shape[1]] = as_input(one)["image"]
    return images, torch.tensor([one.shape[:2] for one in pictures], dtype=torch.float32)


def assert_same(model: nn.Module, parts: list | None = None) -> None:
    """Compare on two pictures, of which the second is padded."""
    pictures = [picture(TILE, TILE), picture(60, 75, seed=1)]
    images, sizes_hw = tiles(pictures)
    wanted = torch.tensor(parts or [[0, 0, TILE, TILE]] * 2, dtype=torch.float32)
    found = fixed(model)(images, sizes_hw, wanted)
    parts = parts and [np.array(part) for part in parts]
    for index, one in enumerate(detect(model, [as_input(one) for one in pictures], parts)):
        boxes, scores, classes = (output[index] for output in found)
        is_found = scores >= 0
        assert len(one) > 5
        # Random boxes move five times as far as those of a real model, and so does what is rounded.
        torch.testing.assert_close(boxes[is_found], one.pred_boxes.tensor, rtol=0, atol=3e-3)
        torch.testing.assert_close(scores[is_found], one.scores, rtol=0, atol=1e-5)
        assert torch.equal(classes[is_found], one.pred_classes)
        assert not parts or len(one.pred_classes.unique()) > 1


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return random_model(small_config(classes=3))


@pytest.mark.parametrize("parts", [None, [[0.0, 20.0, 50.0, 96.0], [10.0, 0.0, 75.0, 40.0]]])
@torch.no_grad()
def test_same_detections_as_the_model_in_a_padded_batch(model, parts):
    assert_same(model, parts)


TABLE_TWO = [name for name in available_configs() if name.startswith("toy/table2/")]


@pytest.mark.parametrize("row", [*TABLE_TWO, "toy/tuned/table2/acnet"])
@torch.no_grad()
def test_padding_changes_no_row_of_table_two(row):
    torch.manual_seed(0)
    model = build_model(load_config(row, [IN_FP32, *FEW])).eval()
    pictures = [picture(height, width) for height, width in ((60, 75), (64, 40), (96, 88))]
    images, sizes_hw = tiles(pictures)
    whole = torch.tensor([[0.0, 0.0, width, height] for height, width in sizes_hw.tolist()])
    found = fixed(model)(images, sizes_hw, whole)
    for index, one in enumerate(pictures):
        alone = model([as_input(one)])[0]["instances"]
        boxes, scores, _ = (output[index] for output in found)
        assert len(alone) > 3
        torch.testing.assert_close(boxes[scores >= 0], alone.pred_boxes.tensor, rtol=0, atol=1e-3)
        torch.testing.assert_close(scores[scores >= 0], alone.scores, rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_picture_without_candidates_has_empty_places(model):
    images, sizes_hw = tiles([picture(TILE, TILE)] * 2)
    nowhere = torch.tensor([[-9.0, -9.0, -8.0, -8.0]] * 2)
    boxes, scores, classes = fixed(model)(images, sizes_hw, nowhere)
    assert boxes.shape == (2, 20, 4)
    assert (scores == -1).all()
    assert not boxes.any()
    assert not classes.any()


@torch.no_grad()
def test_the_whole_acnet_with_the_papers_box_head():
    # res5 reads pooled maps of 14 x 14 with as many samples as a box has cells.
    assert_same(random_model(paper_config()))


def test_other_tiles_and_models_with_other_parts_are_refused(model):
    with pytest.raises(UserError, match=r"Received --tile 100; use 96\."):
        fixed(model, tile_px=100)
    with pytest.raises(UserError, match=r"use 16\."):
        fixed(model, tile_px=4)
    with pytest.raises(UserError, match="Received a Linear with other parts"):
        fixed(nn.Linear(1, 1))
    cfg = small_config()
    cfg.model.roi_heads.box_predictor._target_ = (
        "detectron2.modeling.roi_heads.fast_rcnn.FastRCNNOutputLayers"
    )
    with pytest.raises(UserError, match="Received a ACNet with other parts"):
        fixed(build_model(cfg))


def test_a_centre_on_the_border_of_a_part_is_in_it():
    boxes = torch.tensor([[[0.0, 0.0, 20.0, 20.0], [1.0, 0.0, 20.0, 20.0]]])
    parts = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    assert centred_in(boxes, parts).tolist() == [[True, False]]


class PaddedNMS(nn.Module):
    def __init__(self, iou_threshold: float, max_picks: int):
        super().__init__()
        self.rest = (iou_threshold, max_picks)

    def forward(self, boxes, valid):
        return padded_nms(boxes, valid, *self.rest)


def dense_boxes(num_images: int, num_boxes: int) -> torch.Tensor:
    corners = torch.rand(num_images, num_boxes, 2) * 40
    return torch.cat([corners, corners + 10 + torch.rand(num_images, num_boxes, 2) * 10], dim=2)


def expected(boxes, valid, iou_threshold, max_picks):
    """The picks of one image, with -1 behind them."""
    index = valid.nonzero()[:, 0]
    falling = -torch.arange(len(index), dtype=torch.float32)
    picks = index[nms(boxes[index], falling, iou_threshold)][:max_picks]
    return torch.cat([picks, picks.new_full((max_picks - len(picks),), -1)])


def test_nms_by_hand():
    # Box 1 overlaps box 0 by 0.8 and goes; box 2 would go by box 1 (IoU 0.8), which is gone.
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 6.4], [20, 20, 30, 30]]])
    valid = torch.tensor([[True, True, True, False]])
    assert padded_nms(boxes, valid, 0.7, 3).tolist() == [[0, 2, -1]]


@pytest.mark.parametrize("max_picks", [5, 60])
def test_nms_picks_as_torchvision(max_picks):
    boxes, valid = dense_boxes(3, 60), torch.rand(3, 60) > 0.2
    valid[2] = False  # an image without proposals
    found = padded_nms(boxes, valid, 0.5, max_picks)
    for image in range(3):
        assert torch.equal(found[image], expected(boxes[image], valid[image], 0.5, max_picks))
    assert (found[0] >= 0).sum() < 60


def test_onnx_runtime_picks_the_same_in_any_batch(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra [export]")
    pytest.importorskip("onnxscript", reason="needs the extra [export]")
    batch = {0: Dim("batch", min=1, max=8)}
    example = (dense_boxes(2, 60), torch.ones(2, 60, dtype=torch.bool))
    program = torch.export.export(PaddedNMS(0.5, 20), example, dynamic_shapes=(batch, batch))
    path = tmp_path / "nms.onnx"
    torch.onnx.export(program, dynamo=True, opset_version=18, verbose=False).save(path)
    session = onnxruntime.InferenceSession(path)
    names = [one.name for one in session.get_inputs()]
    for num_images in (1, 3):
        boxes, valid = dense_boxes(num_images, 60), torch.rand(num_images, 60) > 0.2
        valid[-1, 5:] = False
        feed = dict(zip(names, (boxes.numpy(), valid.numpy()), strict=True))
        (found,) = session.run(None, feed)
        assert found.tolist() == padded_nms(boxes, valid, 0.5, 20).tolist()
