"""Photos and weights for the tests of `acnet predict`."""

from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig

from acnet.checkpoint import ACNetCheckpointer
from acnet.config import load_config
from acnet.engine.train import build_model
from tests.cli.predicting import CONFIG, SECRET, save_noise


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """Return random weights with the config beside them, as a training leaves them."""
    folder = tmp_path_factory.mktemp("run")
    cfg = load_config(CONFIG, ["train.amp.enabled=false", f"train.output_dir={SECRET}"])
    LazyConfig.save(cfg, str(folder / "config.yaml"))
    torch.manual_seed(0)
    ACNetCheckpointer(build_model(cfg), folder).save("model_final")
    return folder / "model_final.pth"


@pytest.fixture
def photos(tmp_path) -> Path:
    """Return a folder with two photos."""
    folder = tmp_path / "photos"
    folder.mkdir()
    save_noise(folder / "a.png", 64, 96)
    save_noise(folder / "b.jpg", 96, 64)
    return folder
