"""The wheel in an empty folder: configs and weights are there, and the commands work."""

import shutil
import zipfile
from pathlib import Path

import pytest

from acnet.config import CONFIG_ROOT

LEFT_OUT = shutil.ignore_patterns(".*", "output", "build", "*.egg-info", "__pycache__", "datasets")


@pytest.fixture(scope="module")
def wheel(run_python, repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel from a copy of the clone, where a build leaves nothing behind."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(repo_root, folder / "clone", ignore=LEFT_OUT)
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder]
    run_python(*words, folder / "clone")
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_every_module_config_template_and_weight(wheel: Path, repo_root: Path):
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    package = [path.relative_to(repo_root) for path in (repo_root / "acnet").rglob("*.*")]
    expected = {path.as_posix() for path in package if "__pycache__" not in path.parts}
    configs = [path for path in CONFIG_ROOT.rglob("*") if path.suffix in (".py", ".csv")]
    expected |= {f"acnet/configs/{path.relative_to(CONFIG_ROOT).as_posix()}" for path in configs}
    peers = (repo_root / "projects" / "ACNet" / "peers").glob("*.py")
    expected |= {f"acnet/peers/{path.name}" for path in peers}
    weights = [path for path in (repo_root / "weights").iterdir() if path.suffix != ".md"]
    expected |= {f"acnet/weights/{path.name}" for path in weights}
    assert {name for name in names if ".dist-info/" not in name} == expected


@pytest.mark.slow
def test_an_installed_package_lists_trains_and_names_its_weights(
    wheel: Path, run_python, repo_root: Path, tmp_path: Path
):
    target, empty, data = (tmp_path / name for name in ("site", "empty", "datasets"))
    run_python("-m", "pip", "install", "--quiet", "--no-deps", "--target", target, wheel)
    empty.mkdir()
    places = {"PYTHONPATH": str(target), "DETECTRON2_DATASETS": str(data)}

    def run(*words: object, of: tuple[str, ...] = ("-m", "acnet.cli.main")) -> str:
        return run_python("-W", "ignore", *of, *words, cwd=empty, **places)

    assert "toy/acnet_r18 " in run("configs")
    assert str(target / "acnet" / "weights") in run("weights", "list")
    run("data", "toy", "photos", "--photos", 10, "--size", 96)
    prepare = (str(repo_root / "datasets" / "prepare_acne04.py"),)
    run("--src", "photos", "--dst", data, "--prefix", "toy", "--folds", 0, of=prepare)
    small = ["dataloader.train.num_workers=0", "dataloader.test.num_workers=0"]
    run("train", "--config", "toy/acnet_r18", "train.fast_dev_run=true", *small)
    assert (empty / "output/toy/acnet_r18/fast_dev_run/model_final.pth").is_file()
    photo = next((empty / "photos").rglob("*.jpg"))
    run("predict", photo, "--output", "found")  # by the bundled weights
    assert (empty / "found/predictions.json").is_file()
