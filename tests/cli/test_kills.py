"""Commands whose disk is full, or that are killed: a rerun completes."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.evaluation_files import save_set
from tests.evaluation.coco_content import content_of, write

pytestmark = pytest.mark.slow
TOY = "data toy toy --photos 40 --size 160 --workers 2"
COMMANDS = [
    "calibrate gt.json predictions.json --merge nms --output out",
    "compare gt.json predictions.json predictions.json --replicates 0 --json out",
    "evaluate gt.json predictions.json --replicates 0 --report out",
    "labels src/set.json --as coco --output out",
    "data check src/set.json --json out",
    "data import src/set.json out",
    "configs",
    "weights list",
    "weights show acnet-r18-demo",
]


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))


def start(folder: Path, repo_root: Path, words: str = TOY, **options) -> subprocess.Popen:
    command = [sys.executable, "-m", "acnet.cli.main", *words.split()]
    environment = {**os.environ, "PYTHONPATH": str(repo_root)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **pipes)


def check_whole(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.suffix == ".jpg" and ".tmp" not in path.name:
            assert path.read_bytes().endswith(b"\xff\xd9")
        if path.suffix == ".json" and ".tmp" not in path.name:
            json.loads(path.read_text())


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_rerun_completes(how, tmp_path, repo_root):
    process = start(tmp_path, repo_root)
    deadline = time.monotonic() + 100
    while not list(tmp_path.rglob("*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(how)
    process.communicate(timeout=100)
    check_whole(tmp_path)
    again = start(tmp_path, repo_root)
    _, errors = again.communicate(timeout=200)
    assert again.returncode == 0, errors
    assert len(list(tmp_path.rglob("*.jpg"))) == 40
    check_whole(tmp_path)


@pytest.mark.parametrize("words", COMMANDS)
def test_a_full_disk_is_one_line_and_a_closed_output_none(words, tmp_path, repo_root):
    save_set(tmp_path, 30, seed=0)
    write(tmp_path / "src" / "set.json", content_of([[1, 2, 9, 9]]))
    Image.new("RGB", (640, 640)).save(tmp_path / "src" / "1.jpg")
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        process = start(tmp_path, repo_root, words, stdout=full, preexec_fn=small_files)
        _, errors = process.communicate(timeout=200)
    assert process.returncode == 2
    assert errors.count("acnet: error: ") == 1
    again = start(tmp_path, repo_root, words)
    again.stdout.close()  # as `head` does
    more = again.stderr.read()
    assert again.wait(timeout=200) == 2
    for told in (errors, more):
        assert "Traceback" not in told
        assert "ignored" not in told
    assert "acnet: error: " not in more
    assert (tmp_path / "out").exists() == ("out" in words.split())
    assert not [path for path in tmp_path.rglob("*") if ".tmp" in path.name]
