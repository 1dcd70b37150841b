"""The tiny task of this folder as fixtures: its config, and trainings in this process."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from detectron2.utils.env import seed_all_rng
from omegaconf import DictConfig

from acnet.config import load_config
from acnet.engine.metrics import read_metrics
from acnet.engine.train import default_train

TIMES = {"data_time", "rank_data_time", "time", "eta_seconds"}


@pytest.fixture
def tiny_config_path() -> Path:
    """Return the path of the tiny task's config."""
    return Path(__file__).with_name("tiny_config.py")


@pytest.fixture
def tiny_cfg(tiny_config_path, tmp_path) -> Callable[..., DictConfig]:
    """Return a function that loads the tiny config with a folder for its output."""

    def load(*overrides: str, name: str = "run") -> DictConfig:
        return load_config(tiny_config_path, [f"train.output_dir={tmp_path / name}", *overrides])

    return load


@pytest.fixture
def train() -> Callable[..., Path]:
    """Return a function that trains a config in this process and gives its folder."""

    def run(cfg: DictConfig, *, resume: bool = False) -> Path:
        folder = Path(cfg.train.output_dir)
        folder.mkdir(exist_ok=True)
        seed_all_rng(None if cfg.train.seed < 0 else cfg.train.seed)  # as prepare_run does
        default_train(cfg, Namespace(resume=resume, eval_only=False))
        return folder

    return run


@pytest.fixture
def metrics() -> Callable[..., list[dict]]:
    """Return a function that reads a run's metrics, without those that measure time."""

    def read(folder: Path, *, without: Sequence[str] = ()) -> list[dict]:
        rows = read_metrics(folder / "metrics.json")
        return [{k: v for k, v in row.items() if k not in {*TIMES, *without}} for row in rows]

    return read
