"""The commands of the README, one after the other, on toy photos, real ones and a YOLO export.

A few steps of training mean nothing for the numbers; what counts is that each command takes over
what the one before it left.
"""

import functools
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.data.small_sets import yolo

# Small pictures, one reader, no evaluation but where it is asked for.
QUICK = [
    "dataloader.train.num_workers=0",
    "dataloader.test.num_workers=0",
    "dataloader.train.total_batch_size=2",
    "train.checkpointer.period=2",
    "train.eval_period=0",
    "train.amp.enabled=false",
]


@pytest.fixture
def run(run_python, tmp_path):
    """Return a runner of commands that reads data sets from the test's own folder."""
    return functools.partial(run_python, DETECTRON2_DATASETS=str(tmp_path / "datasets"))


def _metrics(folder: Path) -> list[dict]:
    return list(map(json.loads, (folder / "metrics.json").read_text().splitlines()))


def _train_resume_evaluate_predict(run, config, folder, photos, overrides):
    train = ["projects/ACNet/train_net.py", "--config-file", config]
    settings = [*QUICK, *overrides, f"train.output_dir={folder}", "train.log_period=1"]
    run(*train, *settings, "train.max_iter=3")
    assert (folder / "model_final.pth").is_file()

    log = run(*train, "--resume", *settings, "train.max_iter=5")
    assert "Starting training from iteration 3" in log
    trained = [row["iteration"] for row in _metrics(folder) if "total_loss" in row]
    assert trained == [0, 1, 2, 3, 4]

    weights = folder / "model_final.pth"
    run(*train, "--eval-only", *settings, f"train.init_checkpoint={weights}")
    results = json.loads((folder / "evaluation.json").read_text())["results"]
    assert 0 <= results["bbox"]["AP50"] <= 100

    output = folder / "predictions"
    run(*("-m", "acnet.cli.main", "predict"), *photos, "--weights", weights, "--output", output)
    images = json.loads((output / "images.json").read_text())["images"]
    predictions = json.loads((output / "predictions.json").read_text())
    assert len(images) == len(photos)
    assert {one["image_id"] for one in predictions} <= {image["id"] for image in images}
    assert len(list((output / "pictures").iterdir())) == len(photos)
    assert (output / "index.html").is_file()


def test_generated_photos(run, tmp_path):
    photos = tmp_path / "photos"
    run("-m", "acnet.cli.main", "data", "toy", photos, "--photos", 10, "--size", 96)
    run("datasets/prepare_acne04.py", "--src", photos, "--prefix", "toy", "--folds", 0)
    shown = sorted(photos.rglob("*.jpg"))[:2]
    _train_resume_evaluate_predict(run, "toy/acnet_r18", tmp_path / "run", shown, [])


def test_real_photos(run, tmp_path, voc100):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "VOC2007").symlink_to(voc100)
    shown = sorted((voc100 / "JPEGImages").glob("*.jpg"))[:2]
    small = [
        f"dataloader.{split}.mapper.augmentations.0.short_edge_length=96"
        for split in ("train", "test")
    ]
    _train_resume_evaluate_predict(run, "voc07/acnet_r18", tmp_path / "run", shown, small)


@pytest.mark.slow
def test_two_processes_train_on_a_set_that_is_named_by_its_path(run_python, tmp_path, repo_root):
    yolo(tmp_path / "src")
    for path in (tmp_path / "src").rglob("*.jpg"):
        Image.linear_gradient("L").resize((96, 96)).convert("RGB").save(path)
    run = functools.partial(run_python, cwd=tmp_path)
    importing = ["-m", "acnet.cli.main", "data", "import", "auto", "src", "sets/acne"]
    run(*importing, "--one-class", "acne")
    train = [repo_root / "projects/ACNet/train_net.py", "--config-file", "toy/acnet_r18"]
    train += ["--num-gpus", "2", *QUICK, "train.fast_dev_run=true", "train.output_dir=out"]
    train += [f"dataloader.{split}.num_workers=1" for split in ("train", "test")]
    train += ["dataloader.train.dataset.names=sets/acne:train"]
    train += ["dataloader.test.dataset.names=sets/acne/annotations/val.json"]
    run(*train)
    assert any("bbox/AP50" in row for row in _metrics(tmp_path / "out" / "fast_dev_run"))

    run(*importing)  # two classes now
    error = run(*train, status=2)
    assert "Set model.roi_heads.num_classes=2" in error
    assert "Traceback" not in error
