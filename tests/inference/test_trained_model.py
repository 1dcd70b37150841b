"""Configs of every kind, precisions, and names of classes."""

import pytest
import torch
from detectron2.config import get_cfg
from detectron2.modeling import build_model as build_yacs_model

from acnet.checkpoint import ACNetCheckpointer
from acnet.config import load_config
from acnet.errors import UserError
from acnet.inference import Predictor
from acnet.inference.trained_model import load_trained_model
from acnet.inference.yacs_config import is_yacs_file, load_yacs_config
from acnet.modeling import add_acnet_config
from tests.inference.test_tiled import photo

CONFIG = "toy/acnet_r18"
SMALL_YAML = """\
MODEL:
  PIXEL_STD: [57.375, 57.120, 58.395]
  BACKBONE: {FREEZE_AT: 0}
  RESNETS: {DEPTH: 18, NORM: BN, STEM_OUT_CHANNELS: 16, RES2_OUT_CHANNELS: 16}
  ANCHOR_GENERATOR: {SIZES: [[8, 16, 32, 64]]}
  RPN: {CONV_DIMS: [16]}
  ROI_HEADS: {NAME: SoftNMSROIHeads}
  ROI_BOX_HEAD: {NAME: FastRCNNConvFCHead, NUM_FC: 1, FC_DIM: 16, POOLER_RESOLUTION: 7}
  ACNET:
    DCE: {OUT_CHANNELS: 16}
    MAMA: {WIDTH: 0.0625, MASK_CHANNELS: 8}
INPUT: {MIN_SIZE_TEST: 0}
"""


@pytest.fixture
def yaml_file(tmp_path):
    """Return a small model's config of detectron2's older kind."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL_YAML)
    return path


@pytest.fixture
def yaml_weights(tmp_path, yaml_file):
    """Return a checkpoint of that model with random weights."""
    cfg = load_yacs_config(yaml_file)
    cfg.MODEL.DEVICE = "cpu"
    ACNetCheckpointer(build_yacs_model(cfg), tmp_path).save("model_final")
    return tmp_path / "model_final.pth"


def test_yaml_file_and_its_content_give_the_same_predictor(yaml_file, yaml_weights):
    cfg = get_cfg()
    add_acnet_config(cfg)
    cfg.merge_from_file(str(yaml_file))
    from_file, from_content = (
        Predictor(config, yaml_weights)(photo(64, 64)) for config in (yaml_file, cfg)
    )
    assert len(from_file) > 0
    torch.testing.assert_close(from_file.scores, from_content.scores, rtol=0, atol=0)


def test_yaml_that_resizes_gets_photos_whole(yaml_file, yaml_weights):
    assert Predictor(yaml_file, yaml_weights).tiling.tile_px is not None
    yaml_file.write_text(SMALL_YAML.replace("MIN_SIZE_TEST: 0", "MIN_SIZE_TEST: 32"))
    predictor = Predictor(yaml_file, yaml_weights)
    assert predictor.tiling.tile_px is None
    assert predictor(photo(48, 80)).image_size == (48, 80)


def test_yaml_with_an_unknown_key_is_refused(yaml_file):
    yaml_file.write_text(SMALL_YAML + "NONSENSE: 1\n")
    with pytest.raises(UserError, match="NONSENSE"):
        load_yacs_config(yaml_file)


def test_yaml_that_would_run_code_is_refused(tmp_path, yaml_file):
    mark = tmp_path / "ran"
    yaml_file.write_text(f"MODEL: !!python/object/apply:pathlib.Path.touch [{mark}]\n")
    with pytest.raises(UserError):
        load_trained_model(yaml_file, tmp_path / "none.pth")
    assert not mark.exists()


def test_kinds_of_yaml_are_told_apart(tmp_path, yaml_file):
    assert is_yacs_file(yaml_file)
    saved = tmp_path / "config.yaml"
    saved.write_text("model: {}\ntrain: {}\n")
    assert not is_yacs_file(saved)
    saved.write_text("a: [\n")
    assert not is_yacs_file(saved)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", None), ("bfloat16", torch.bfloat16), ("config", None)]
)
def test_precision_can_be_chosen(tiny_weights, precision, dtype):
    cfg = load_config(CONFIG, ["train.amp.enabled=false"])
    assert load_trained_model(cfg, tiny_weights, "cpu", precision).precision.dtype is dtype


def test_unknown_precision_is_refused(tiny_weights):
    with pytest.raises(UserError, match="config, auto, float32, bfloat16, float16"):
        Predictor(CONFIG, tiny_weights, precision="int8")
