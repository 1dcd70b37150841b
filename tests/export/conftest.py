"""A small model, exported once in each format."""

from collections.abc import Callable
from pathlib import Path

import pytest

from acnet.config_files import load_config
from acnet.export.export_model import ExportOptions, export_model
from tests.export.models import TILE, save_run, small_config


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> Path:
    """Return the weights of a small model with three classes, beside their config."""
    return save_run(small_config(classes=3), tmp_path_factory.mktemp("small_run"))


@pytest.fixture(scope="session")
def exported(tmp_path_factory, small_run) -> Callable[..., Path]:
    """Return a function that exports the small model, each kind once."""
    folder = tmp_path_factory.mktemp("exported")
    done: dict[tuple, Path] = {}

    def export(suffix: str, **options) -> Path:
        if suffix == ".onnx":
            for package in ("onnx", "onnxscript", "onnxruntime"):
                pytest.importorskip(package, reason="needs the extra [export]")
        # Each kind takes seconds, so tests that do not mind the place of Soft-NMS share one.
        options = {"soft_nms": "inside" if suffix == ".onnx" else "outside", **options}
        kind = (suffix, *sorted(options.items()))
        if kind not in done:
            cfg = load_config(small_run.with_name("config.yaml"))
            path = folder / f"model_{len(done)}{suffix}"
            export_model(cfg, small_run, path, ExportOptions(tile_px=TILE, **options), name="small")
            done[kind] = path
        return done[kind]

    return export
