"""The predictor: the model's own answer, in the photo's pixels, whatever the photo came as."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from detectron2.config import LazyCall, instantiate
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data import transforms as T
from detectron2.structures import Boxes, Instances
from PIL import Image

from acnet.checkpoint import ACNetCheckpointer
from acnet.config import load_config
from acnet.data.import_set import ImportOptions, import_set
from acnet.data.prepared_set import PreparedLayout
from acnet.data.readers.formats import open_source
from acnet.engine.train import build_model
from acnet.errors import WeightsMismatchError
from acnet.inference import load
from acnet.inference.optimize import NOTHING, Optimizations
from tests.data.small_sets import voc
from tests.export.models import IN_FP32, picture

CONFIG = "toy/acnet_r18"
PHOTO = picture(64, 96)


@pytest.fixture(scope="module")
def predictor(tiny_weights):
    """Return a predictor in fp32, with the model as it was trained."""
    return load(
        tiny_weights, config=load_config(CONFIG, [IN_FP32]), precision="config", optimize=False
    )


def test_optimised_by_default(tiny_weights, predictor):
    ours = load(tiny_weights, config=load_config(CONFIG), precision="float32")
    assert ours.optimizations == Optimizations()
    assert predictor.optimizations == NOTHING
    ours, theirs = ours(PHOTO), predictor(PHOTO)
    torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        ours.pred_boxes.tensor, theirs.pred_boxes.tensor, rtol=1e-4, atol=1e-2
    )


def test_single_changes_are_new_results(tiny_weights):
    chosen = Optimizations(fold_norms=False)
    one, other = (
        load(tiny_weights, config=CONFIG, optimize=chosen),
        load(tiny_weights, config=CONFIG),
    )
    assert one.optimizations == chosen
    assert one.identity != other.identity


def save_bgr(path, image_bgr, **options):
    Image.fromarray(image_bgr[:, :, ::-1]).save(path, **options)
    return path


def assert_same(ours, theirs):
    assert ours.image_size == theirs.image_size
    torch.testing.assert_close(ours.pred_boxes.tensor, theirs.pred_boxes.tensor)
    torch.testing.assert_close(ours.scores, theirs.scores)


def test_same_answer_as_detectron2s_own_loader_and_model(tmp_path, tiny_weights, predictor):
    path = save_bgr(tmp_path / "photo.png", PHOTO)
    cfg = load_config(CONFIG, [IN_FP32])
    record = instantiate(cfg.dataloader.test.mapper)({"file_name": str(path), "image_id": 1})
    model = build_model(cfg).eval()
    ACNetCheckpointer(model).load(str(tiny_weights))
    with torch.no_grad():
        expected = model([{**record, "height": 64, "width": 96}])[0]["instances"]
    assert len(expected) > 0
    found = predictor(path)
    assert_same(found, expected)
    assert not found.scores.requires_grad


def test_boxes_refer_to_the_upright_photo(tmp_path, predictor):
    # A camera held upright stores the photo lying on its side, and says so (orientation 6).
    upright = picture(96, 64)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save_bgr(tmp_path / "photo.png", np.rot90(upright), exif=exif)
    result = predictor(path)
    assert result.image_size == (96, 64)
    assert_same(result, predictor(upright))


def test_boxes_are_in_the_photos_pixels_when_the_config_resizes(tiny_weights):
    cfg = load_config(CONFIG, [IN_FP32])
    at_size = load(tiny_weights, config=cfg)(np.repeat(np.repeat(PHOTO, 2, 0), 2, 1))
    resize = LazyCall(T.ResizeShortestEdge)(short_edge_length=128, max_size=1000, interp=0)
    cfg.dataloader.test.mapper.augmentations = [resize]  # 0 repeats pixels, as np.repeat
    resized = load(tiny_weights, config=cfg)(PHOTO)
    assert resized.image_size == (64, 96)
    torch.testing.assert_close(resized.pred_boxes.tensor, at_size.pred_boxes.tensor / 2)


def test_model_gets_the_channels_in_its_own_order(tiny_weights):
    class Recorder(torch.nn.Module):
        def forward(self, batch):
            self.image = batch[0]["image"]
            nothing = Instances((2, 3))
            nothing.pred_boxes = Boxes(torch.zeros(0, 4))
            nothing.scores, nothing.pred_classes = torch.zeros(0), torch.zeros(0, dtype=torch.int64)
            return [{"instances": nothing}]

    blue = np.zeros((2, 3, 3), np.uint8)
    blue[:, :, 0] = 255
    for input_format, channel in (("BGR", 0), ("RGB", 2)):
        predictor = load(tiny_weights, config=load_config(CONFIG))
        predictor._loaded = dataclasses.replace(predictor._loaded, input_format=input_format)
        predictor.engine.model = Recorder()
        predictor(blue)
        expected = [255 if index == channel else 0 for index in range(3)]
        assert predictor.engine.model.image.amax((1, 2)).tolist() == expected


def test_given_config_is_not_changed(tiny_weights):
    cfg = load_config(CONFIG, ["train.device=nonsense"])
    load(tiny_weights, config=cfg, device="cpu")
    assert cfg.train.device == "nonsense"


def test_names_come_from_the_test_set_and_unknown_ones_are_numbers(predictor, tiny_weights, caplog):
    assert predictor.class_names == ["acne"]  # before the set exists
    cfg = load_config(CONFIG, ["dataloader.test.dataset.names=unknown_set"])
    assert load(tiny_weights, config=cfg).class_names == ["class 1"]
    assert "'unknown_set' names 0" in caplog.text


def test_names_of_a_set_that_is_named_by_its_path(tiny_weights, tmp_path, caplog):
    voc(tmp_path / "src")
    import_set(
        open_source(tmp_path / "src"),
        PreparedLayout.of_folder(tmp_path / "set"),
        ImportOptions(one_class="papule"),
    )
    name = f"{tmp_path}/set:val"
    cfg = load_config(CONFIG, [f"dataloader.test.dataset.names={name}"])
    assert load(tiny_weights, config=cfg).class_names == ["papule"]
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)
    cfg = load_config(CONFIG, ["dataloader.test.dataset.names=another/machine:val"])
    assert load(tiny_weights, config=cfg).class_names == ["class 1"]
    assert "must be prepared" in caplog.text


def test_saliency_covers_the_photo_and_is_a_probability(predictor):
    # 64 x 96 fits the stride, 61 x 90 is padded and cut again.
    for height, width in ((64, 96), (61, 90)):
        saliency = predictor.saliency(picture(height, width))
        assert saliency.shape == (height, width)
        assert saliency.dtype == np.float32
        assert 0 <= saliency.min() < saliency.max() <= 1


def test_saliency_is_what_the_mask_attention_sees_of_a_picture_without_its_padding(predictor):
    prepared = predictor._prepare(picture(53, 83))
    images = predictor.model.preprocess_image([{"image": torch.from_numpy(prepared["image"])}])
    assert images.tensor.shape[2:] == (64, 96)
    with torch.no_grad():
        grid = predictor.model.backbone.saliency(images.tensor, [(53, 83)])
    expected = F.interpolate(grid, (64, 96), mode="bilinear")[0, 0, :53, :83]
    assert np.abs(predictor.saliency(picture(53, 83)) - expected.numpy()).max() < 1e-5


def test_model_without_mask_attention_has_no_saliency(tiny_weights):
    predictor = load(tiny_weights, config=CONFIG)
    predictor.model.backbone = predictor.model.backbone.bottom_up
    assert not predictor.has_saliency
    with pytest.raises(ValueError, match="without it"):
        predictor.saliency(PHOTO)


def test_weights_of_another_model_are_refused(tiny_weights):
    cfg = load_config(CONFIG, ["model.backbone.bottom_up.enhance=false"])
    with pytest.raises(WeightsMismatchError, match=r"not in the model: backbone\.bottom_up\.enh"):
        load(tiny_weights, config=cfg)
