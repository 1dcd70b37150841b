"""A YOLO export from import to evaluation: named by path, seen by every process."""

import functools
import io
import json

import pytest
from PIL import Image

from tests.data.small_sets import yolo

TRAIN_NET = "projects/ACNet/train_net.py"
QUICK = [
    "train.fast_dev_run=true",
    "train.amp.enabled=false",
    "dataloader.train.total_batch_size=2",
    "dataloader.train.num_workers=1",
    "dataloader.test.num_workers=1",
]


@pytest.mark.slow
def test_two_processes_train_on_a_set_that_is_named_by_its_path(run_python, tmp_path, repo_root):
    yolo(tmp_path / "src")
    picture = io.BytesIO()
    Image.linear_gradient("L").resize((96, 96)).convert("RGB").save(picture, "JPEG")
    for path in (tmp_path / "src").rglob("*.jpg"):
        path.write_bytes(picture.getvalue())

    run = functools.partial(run_python, cwd=tmp_path)
    importing = ["-m", "acnet.cli.main", "data", "import", "auto", "src", "sets/acne"]
    run(*importing, "--one-class", "acne")
    names = [
        "dataloader.train.dataset.names=sets/acne:train",
        "dataloader.test.dataset.names=sets/acne/annotations/val.json",
    ]
    train = [str(repo_root / TRAIN_NET), "--config-file", "toy/acnet_r18", "--num-gpus", "2"]
    run(*train, *QUICK, *names, "train.output_dir=out")
    lines = (tmp_path / "out" / "fast_dev_run" / "metrics.json").read_text().splitlines()
    assert any("bbox/AP50" in json.loads(line) for line in lines)

    run(*importing)  # two classes now
    error = run(*train, *QUICK, *names, "train.output_dir=out", status=2)
    assert "Set model.roi_heads.num_classes=2" in error
    assert "Traceback" not in error
