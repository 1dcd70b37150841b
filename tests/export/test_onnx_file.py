"""Exported files give the model's own detections, in every engine that is here."""

import numpy as np
import pytest
import torch
from detectron2.structures import pairwise_iou

from acnet.config import load_config
from acnet.errors import UserError
from acnet.export import onnx_file
from acnet.export.metadata import read_export
from acnet.export.onnx_file import export_model
from acnet.inference import Predictor
from acnet.inference.trained_model import load_model
from acnet.photos.instances import to_instances
from tests.export.models import TILE, as_input, paper_config, picture, save_run

BOX_PX, SCORE = 0.01, 1e-4
PARTS = [np.array([0.0, 0.0, 60.0, 96.0]), np.array([10.0, 10.0, 70.0, 60.0])] * 2


@pytest.fixture(scope="session")
def eager(small_run):
    """Return the model in PyTorch, as it was trained."""
    config = small_run.with_name("config.yaml")
    return Predictor(config, small_run, "cpu", precision="float32", optimize=False)


def pictures(count: int) -> list[dict]:
    """Return pictures of which the first fills the tile, so that a batch pads the others alike."""
    sizes = [(TILE, TILE), (80, 75), (TILE, 50), (TILE, TILE)]
    return [as_input(picture(*sizes[index], seed=index)) for index in range(count)]


def detected(engine, inputs, parts=None):
    return [to_instances((TILE, TILE), *one) for one in engine.detect(inputs, parts)]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert len(one) == len(other) > 5
        # Equal scores may come in another order, so each box looks for its like.
        near = pairwise_iou(one.pred_boxes, other.pred_boxes)
        near[one.pred_classes[:, None] != other.pred_classes] = 0
        like = near.argmax(dim=1)
        assert like.unique().numel() == len(one)
        boxes = other.pred_boxes.tensor[like]
        torch.testing.assert_close(one.pred_boxes.tensor, boxes, rtol=0, atol=BOX_PX)
        torch.testing.assert_close(one.scores, other.scores[like], rtol=0, atol=SCORE)


def test_same_detections_for_any_batch(exported, eager):
    engine = load_model(exported(), device="cpu").engine
    for count in (1, 2, 4):
        for parts in (None, PARTS[:count]):
            inputs = pictures(count)
            assert_same(detected(engine, inputs, parts), detected(eager.engine, inputs, parts))


def test_a_batch_of_fixed_size(exported, eager):
    path = exported(batch=2)
    engine = load_model(path, device="cpu").engine
    assert read_export(path).settings.batch == 2
    assert_same(detected(engine, pictures(3)), detected(eager.engine, pictures(3)))


def test_tiles_with_few_proposals(exported, eager):
    blank = [as_input(np.full((height, TILE, 3), 7, np.uint8)) for height in (TILE, 20)]
    found = load_model(exported(), device="cpu").engine.detect(blank)
    assert [len(one[1]) for one in found] == [len(one[1]) for one in eager.engine.detect(blank)]


def test_a_photo_in_tiles(exported, eager):
    photo = picture(150, 230)
    predictor = Predictor(None, exported(), "cpu")
    assert predictor.tiling.tile_px == TILE
    assert predictor.class_names == ["kind 0", "kind 1", "kind 2"]
    tiles = predictor.tiling.tiles(photo.shape[:2])
    assert {(right - left, bottom - top) for left, top, right, bottom in tiles} == {(TILE, TILE)}
    eager.tiling = predictor.tiling
    assert_same([predictor(photo)], [eager(photo)])


def test_what_the_file_says_and_that_it_is_silent_on_this_machine(exported, repo_root):
    content = exported().read_bytes()
    assert b"acnet export" in content
    for secret in (str(repo_root), "site-packages", str(exported().parent)):
        assert secret.encode() not in content
    contents = read_export(exported())
    assert contents.settings.tile_px == TILE
    assert contents.settings.versions["torch"] == torch.__version__.split("+")[0]
    assert contents.class_names == ("kind 0", "kind 1", "kind 2")
    assert "For research only" in contents.card


def test_a_model_of_the_papers_form_is_exported_with_all_its_bins(tmp_path, monkeypatch):
    exports = []
    monkeypatch.setattr(onnx_file, "to_program", lambda detector, **size: detector)
    monkeypatch.setattr(
        onnx_file, "write_onnx", lambda _, detector, texts: exports.append(detector)
    )
    cfg = paper_config()
    export_model(cfg, save_run(cfg, tmp_path), tmp_path / "m.onnx", tile_px=TILE, batch=1, name="")
    (detector,) = exports
    tile, whole = torch.zeros(1, 3, TILE, TILE, dtype=torch.uint8), torch.tensor([[TILE, TILE]])
    boxes, _, _ = detector(tile, whole.float(), torch.tensor([[0.0, 0.0, TILE, TILE]]))
    assert boxes.shape == (1, 30, 4)  # as many as there are proposals


def test_a_size_for_no_machine_is_refused(tmp_path, small_run):
    cfg = load_config(small_run.with_name("config.yaml"))
    with pytest.raises(UserError, match=r"1000000 tiles of 96 .* choose smaller values for --tile"):
        export_model(cfg, small_run, tmp_path / "m.onnx", tile_px=TILE, batch=10**6, name="")
    assert list(tmp_path.iterdir()) == []


def test_a_tile_below_the_size_to_which_pictures_are_resized_is_refused(tmp_path, small_run):
    cfg = load_config(small_run.with_name("config.yaml"))
    voc = load_config("voc07/acnet_r101").dataloader.test.mapper.augmentations
    cfg.dataloader.test.mapper.augmentations = voc
    with pytest.raises(UserError, match=r"pictures of up to 1000 pixels; use --tile 1008\."):
        export_model(cfg, small_run, tmp_path / "m.onnx", tile_px=640, batch=1, name="")


def test_what_an_exported_file_has_not_is_refused(exported):
    predictor = Predictor(None, exported(), "cpu")
    assert not predictor.has_saliency
    with pytest.raises(UserError, match="with the eager engine only"):
        _ = predictor.model
    with pytest.raises(UserError, match="with a config, changes to it"):
        Predictor("toy/acnet_r18", exported())
    with pytest.raises(UserError, match=r"computes it in float32\. Received --precision bfloat16"):
        Predictor(None, exported(), "cpu", precision="bfloat16")
