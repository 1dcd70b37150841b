"""What every test shares: one thread, fixed seeds, no network, real photos where there are any."""

import logging
import os
import random
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import setuptools  # noqa: F401  # before another distutils is loaded, which it refuses to follow
import torch
from torch import distributed as dist
from torch import multiprocessing

REPO_ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = "/usr/bin/chromium"
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1", "0.0.0.0", socket.gethostname()}


def pytest_configure(config: pytest.Config) -> None:
    """Fix what libraries read from the environment, before any test module is imported.

    Tests compute on the CPU, whatever the machine has: those that are marked `gpu` have runs of
    their own (`pytest -m gpu`), since a process that has used CUDA cannot be forked.
    """
    if "gpu" not in config.getoption("markexpr").replace("not gpu", ""):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["MPLBACKEND"] = "Agg"
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start
    os.environ["DETECTRON2_DATASETS"] = os.devnull  # detectron2 reads it once, when imported
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for tests that use ONNX Runtime by themselves
    torch.set_num_threads(1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where none is seen."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU, and a run of its own: pytest -m gpu")


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - detectron2's samplers and augmentations use this generator
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _nothing_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's data sets and downloads out of the tests."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "datasets"))
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "downloads"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sockets reach this machine only, for the processes of distributed training."""
    connect = socket.socket.connect

    def connect_locally(self: socket.socket, address: tuple | str) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOCAL_HOSTS:
            pytest.fail(f"a test wants the network: {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_locally)


@pytest.fixture
def event_storage():
    """Yield detectron2's EventStorage, which losses and ROI heads write to in training."""
    from detectron2.utils.events import EventStorage

    with EventStorage() as storage:
        yield storage


@pytest.fixture
def browser():
    """Yield Chromium."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with api.sync_playwright() as running:
        try:
            chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        except api.Error:
            pytest.skip(f"needs Chromium as {CHROMIUM}")
        yield chromium
        chromium.close()


@pytest.fixture(autouse=True)
def _same_loggers() -> Iterator[None]:
    """Undo what a command, or detectron2's setup_logger, does to the loggers of the process."""
    names = ("acnet", "acnet.checkpoint", "detectron2", "fvcore")
    loggers = [logging.getLogger(name) for name in names]
    before = [(one.handlers[:], one.propagate, one.level) for one in loggers]
    yield
    for one, (handlers, propagate, level) in zip(loggers, before, strict=True):
        one.handlers[:], one.propagate = handlers, propagate
        one.setLevel(level)
    if used := sys.modules.get("detectron2.utils.logger"):
        used.setup_logger.cache_clear()


def _run_process(rank: int, world_size: int, store: Path, function: Callable, args: tuple) -> None:
    from detectron2.utils import comm

    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world_size)
    comm.create_local_process_group(world_size)
    function(*args)
    dist.destroy_process_group()


@pytest.fixture
def in_two_processes(tmp_path: Path) -> Callable:
    """Return a function that calls another in two connected processes."""

    def run(function: Callable, *args) -> None:
        store = tmp_path / f"store_{secrets.token_hex(4)}"  # one that ended early leaves its own
        arguments = (2, store, function, args)
        # Forked, since a new Python would take seconds to import what this one has.
        multiprocessing.start_processes(_run_process, arguments, nprocs=2, start_method="fork")

    return run


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """Return the root of the checkout."""
    return REPO_ROOT


@pytest.fixture(scope="session")
def run_code() -> Callable[[str], tuple[str, set[str]]]:
    """Return a function that runs code in a new Python: what it prints, what it has imported."""

    def run(code: str) -> tuple[str, set[str]]:
        code += "\nimport sys; sys.stderr.write('\\n' + ' '.join(sys.modules))"
        words = [sys.executable, "-c", code]
        done = subprocess.run(words, cwd=REPO_ROOT, capture_output=True, text=True, check=True)
        return done.stdout, set(done.stderr.rpartition("\n")[2].split())

    return run


@pytest.fixture(scope="session")
def run_python() -> Callable[..., str]:
    """Return a function that runs Python with this checkout, and returns all that it says."""

    def run(*words: object, cwd: Path = REPO_ROOT, status: int = 0, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(REPO_ROOT), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="session")
def voc100() -> Path:
    """Return the folder of 100 real VOC 2007 photos, or skip the test."""
    folder = Path(os.environ.get("ACNET_VOC100", REPO_ROOT.parent / "shared" / "voc2007_100"))
    if not (folder / "Annotations").is_dir():
        pytest.skip(f"needs 100 VOC 2007 photos in {folder}; set ACNET_VOC100 to their folder")
    return folder.resolve()


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint of the config toy/acnet_r18 with random weights."""
    from acnet.checkpoint import ACNetCheckpointer
    from acnet.config import load_config
    from acnet.engine.train import build_model

    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    ACNetCheckpointer(build_model(load_config("toy/acnet_r18")), folder).save("model_final")
    return folder / "model_final.pth"


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the weights of a small model with three classes, beside their config."""
    from tests.export.models import save_run, small_config

    return save_run(small_config(classes=3), tmp_path_factory.mktemp("small_run"))


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, small_run: Path) -> Callable[..., Path]:
    """Return a function that exports the small model, each size once since it takes seconds."""
    from acnet.config import load_config
    from acnet.export.onnx_file import export_model
    from tests.export.models import TILE

    folder = tmp_path_factory.mktemp("exported")
    done: dict[int, Path] = {}

    def export(batch: int = 0) -> Path:
        for package in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(package, reason="needs the extra [export]")
        if batch not in done:
            path = folder / f"model_{batch}.onnx"
            cfg = load_config(small_run.with_name("config.yaml"))
            export_model(cfg, small_run, path, tile_px=TILE, batch=batch, name="small")
            done[batch] = path
        return done[batch]

    return export
