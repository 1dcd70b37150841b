"""A picture's answer does not depend on its padding: alone, beside larger ones, on any canvas."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from detectron2.config import instantiate
from torch import nn

from acnet.config import available_configs, load_config
from acnet.export.detector import FixedSizeDetector
from acnet.export.onnx_file import to_program, write_onnx
from acnet.inference.engines import ExportedEngine
from acnet.inference.runtimes import OnnxRuntimeSession
from acnet.modeling import ContextAttention, DynamicFeatureFusion, FeatureRefinement
from acnet.modeling.own_cells import (
    extend_edges,
    own_cells,
    padding_kept_out,
    run_backbone,
    whole_cells,
)
from tests.export.test_metadata import SETTINGS

ROWS = [name for name in available_configs() if name.startswith(("toy/table2/", "toy/table1/"))]
ROWS += ["toy/tuned/table2/acnet", "toy/table3/l1_l4", "toy/faster_rcnn_r18_fpn"]


def _model(name):
    """A row with weights and statistics that are all random, so that no layer hides another."""
    torch.manual_seed(0)
    model = instantiate(load_config(name).model).eval()
    model.roi_heads.box_predictor.test_score_thresh = 0.2
    with torch.no_grad():
        for module in model.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.weight, 0.5, 1.0)
                nn.init.normal_(module.bias, std=0.2)
            elif isinstance(module, FeatureRefinement):
                nn.init.kaiming_normal_(module.output.weight)
        for parameter in model.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.2)
    return model


def _image(height, width):
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    return {"image": image, "height": height, "width": width}


def assert_same(one, other):
    """Compare boxes (N, 4) and scores (N,), which are equal but for the order of equal scores."""
    boxes = (one[0][:, None] - other[0]).abs().amax(dim=2)
    same = (boxes < 1e-3) & ((one[1][:, None] - other[1]).abs() < 1e-5)
    assert len(one[1]) == len(other[1])
    assert same.any(dim=0).all()
    assert same.any(dim=1).all()


@pytest.mark.parametrize("name", ROWS)
def test_detections_are_those_of_the_picture_alone(name):
    model = _model(name)
    images = [_image(72, 104), _image(128, 160), _image(65, 97), _image(80, 112)]
    with torch.no_grad():
        alone = [model([one])[0]["instances"] for one in images]
        together = [one["instances"] for one in model(images)]
    assert sum(map(len, alone)) > 20
    for one, other in zip(alone, together, strict=True):
        assert one.image_size == other.image_size
        assert_same(*((i.pred_boxes.tensor, i.scores) for i in (one, other)))


@pytest.mark.parametrize("name", [name for name in ROWS if "fpn" not in name])
def test_maps_on_a_larger_canvas_are_those_of_the_picture_alone(name):
    """With the padding kept out layer by layer, as in an export, whose tiles have one size."""
    model = _model(name)
    (feature,) = model.proposal_generator.in_features
    stride = model.backbone.output_shape()[feature].stride
    sizes = [(72, 104), (65, 97), (128, 160)]
    canvas = torch.zeros(3, 3, 128, 160)
    for picture, (height, width) in zip(canvas, sizes, strict=True):
        nn.init.normal_(picture[:, :height, :width])
    whole = whole_cells(torch.tensor(sizes), model.backbone.size_divisibility or 16)
    parts = [model.backbone, model.proposal_generator.rpn_head]
    with torch.no_grad():
        with padding_kept_out(parts, whole, canvas.shape[2:]):
            maps = run_backbone(model.backbone, canvas, torch.tensor(sizes))[feature]
            logits = model.proposal_generator.rpn_head([maps])[0][0]
        maps = extend_edges(maps, whole, stride)
        for index, (height, width) in enumerate(whole.int().tolist()):
            image = canvas[index : index + 1, :, :height, :width]
            alone = run_backbone(model.backbone, image, [sizes[index]])[feature]
            rows, columns = alone.shape[2:]
            scale = alone.abs().max()
            ours = maps[index : index + 1, :, : rows + 1, : columns + 1]
            expected = F.pad(
                alone, (0, ours.shape[3] - columns, 0, ours.shape[2] - rows), "replicate"
            )
            torch.testing.assert_close(ours / scale, expected / scale, rtol=0, atol=1e-5)
            expected = model.proposal_generator.rpn_head([alone])[0][0]
            ours = logits[index : index + 1, :, :rows, :columns]
            torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def _exported(model, tile_px, path):
    """Return what finds lesions in pictures by an ONNX file for tiles of this size."""
    program = to_program(FixedSizeDetector(model, tile_px=tile_px), tile_px=tile_px, batch=0)
    write_onnx(path, program, {})
    settings = dataclasses.replace(SETTINGS, tile_px=tile_px)
    engine = ExportedEngine(OnnxRuntimeSession(path, "cpu"), settings, model.roi_heads.num_classes)
    return lambda images: [
        (torch.from_numpy(boxes), torch.from_numpy(scores))
        for boxes, scores, _ in engine.detect(images)
    ]


@pytest.mark.slow  # a minute a row
@pytest.mark.parametrize("name", [name for name in ROWS if "table2" in name])
def test_an_exported_file_finds_what_it_finds_in_the_picture_alone(name, tmp_path):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extra [export]")
    model = _model(name)
    images = [_image(96, 96), _image(72, 90), _image(65, 49)]
    larger = [_image(160, 160), _image(130, 144)]
    small, large = (_exported(model, size, tmp_path / f"{size}.onnx") for size in (96, 160))
    alone = [small([one])[0] for one in images]
    assert sum(len(scores) for _, scores in alone) > 20
    together = large([larger[0], *images, larger[1]])[1:4]
    for one, beside, image in zip(alone, together, images, strict=True):
        assert_same(one, large([image])[0])
        assert_same(one, beside)
    assert_same(alone[0], small([images[2], images[0]])[1])


def test_own_cells_hold_a_pixel_of_their_picture():
    maps = torch.zeros(2, 1, 3, 4)
    own = own_cells(maps, [(24, 32), (9, 8)], 8)
    assert own[0].all()
    assert own[1, 0].int().tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert own_cells(maps, torch.tensor([(24.0, 32.0), (9.0, 8.0)]), 8).equal(own)
    assert own_cells(maps, [(17, 25), (24, 32)], 8) is None
    assert own_cells(maps, None, 8) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_pools_over_the_map_sees_own_cells_alone(dtype):
    own = own_cells(torch.zeros(2, 8, 5, 6), [(24, 32), (40, 48)], 8)
    maps = [torch.randn(2, 8, 5, 6).to(dtype) for _ in range(3)]
    fusion, context = DynamicFeatureFusion(channels=8), ContextAttention(channels=8, reduction=2)
    nn.init.normal_(context.transform[-1].weight)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16), torch.no_grad():
        scores = fusion._attend(maps, own)
        attended = context(maps[0], own)
        for index, (rows, columns) in enumerate([(3, 4), (5, 6)]):
            crops = [one[index : index + 1, :, :rows, :columns] for one in maps]
            expected = fusion._attend(crops, None)
            tolerance = {"rtol": 0.02, "atol": 0.02} if dtype == torch.bfloat16 else {}
            for one, other in zip(scores, expected, strict=True):
                torch.testing.assert_close(one[index : index + 1], other, **tolerance)
            ours = attended[index : index + 1, :, :rows, :columns]
            torch.testing.assert_close(ours, context(crops[0]), **tolerance)
