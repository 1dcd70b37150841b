"""What every test shares: one thread, fixed seeds, no network, real photos where there are any."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

REPO_ROOT = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """Fix what libraries read from the environment, before any test module is imported."""
    os.environ["MPLBACKEND"] = "Agg"
    os.environ["FVCORE_CACHE"] = os.devnull  # a download could not be stored, so it fails at once
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - detectron2's samplers and augmentations use this generator
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_datasets_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's data sets out of the tests."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "datasets"))


@pytest.fixture
def event_storage():
    """Yield detectron2's EventStorage, which losses and ROI heads write to in training."""
    from detectron2.utils.events import EventStorage

    with EventStorage() as storage:
        yield storage


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """Return the root of the checkout."""
    return REPO_ROOT


@pytest.fixture(scope="session")
def voc100() -> Path:
    """Return the folder of 100 real VOC 2007 photos, or skip the test."""
    folder = Path(os.environ.get("ACNET_VOC100", REPO_ROOT.parent / "shared" / "voc2007_100"))
    if not (folder / "Annotations").is_dir():
        pytest.skip(f"needs 100 VOC 2007 photos in {folder}; set ACNET_VOC100 to their folder")
    return folder.resolve()
