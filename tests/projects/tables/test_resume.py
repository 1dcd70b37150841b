"""A command that was killed and given again leaves the records of one that was left alone."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acnet.data.import_set import ImportOptions, import_set
from acnet.data.prepared_set import PreparedLayout
from acnet.data.readers.acne04 import open_acne04
from acnet.data.tiles.tile_plan import TileOptions
from acnet.data.tiles.tile_set import tile_set
from acnet.data.toy.toy_photo import ToyOptions
from acnet.data.toy.toy_set import ToyTests, write_toy_set, write_toy_tests
from projects.ACNet.tables.record import TIME_KEYS
from projects.ACNet.tables.runner import REPO_ROOT

PX = 64
COMMAND = [
    *("-W", "ignore", str(REPO_ROOT / "projects" / "ACNet" / "tables"), "--rows", "baseline"),
    *("--forms", "paper", "--seeds", "1", "--iterations", "6", "--jobs", "1", "--test"),
    *("toy_tests_mixed", "toy_tests_density", "--opts", "dataloader.test.num_workers=0"),
    *("train.log_period=1", "dataloader.train.total_batch_size=1"),
    *("train.checkpointer.period=2", "model.proposal_generator.post_nms_topk=[20,20]"),
    "train.amp.enabled=false",
]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> Path:
    """Return a folder with ten toy photos to train on, and a few to test on."""
    root = tmp_path_factory.mktemp("datasets")
    write_toy_set(root / "toy_photos", ToyOptions(sizes_px=(PX,)), photos=10, workers=1)
    layout = PreparedLayout(root, "toy")
    import_set(open_acne04(root / "toy_photos"), layout, ImportOptions(splits=["*_0"]))
    tile_set(layout, TileOptions())
    tests = ToyTests(photos=5, size_px=PX)
    write_toy_tests(PreparedLayout(root, "toy_tests"), tests, workers=1)
    return root


def start(output: Path, datasets: Path) -> subprocess.Popen:
    environment = {**os.environ, "DETECTRON2_DATASETS": str(datasets), "PYTHONPATH": str(REPO_ROOT)}
    places = ["--output", str(output), "--results", str(output / "records")]
    at = COMMAND.index("--opts")
    command = [sys.executable, *COMMAND[:at], *places, *COMMAND[at:]]
    with (output.with_suffix(".txt")).open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def finish(output: Path, datasets: Path) -> None:
    assert start(output, datasets).wait(600) == 0, output.with_suffix(".txt").read_text()[-3000:]


def kill_in_training(output: Path, datasets: Path, key: str) -> None:
    """Kill the command and its training after two iterations of a row, as a power cut does."""
    process = start(output, datasets)
    metrics = output / "runs" / "toy" / "table2" / key / "seed_1" / "metrics.json"
    end = time.monotonic() + 300
    while not metrics.is_file() or metrics.read_bytes().count(b"\n") < 3:
        assert time.monotonic() < end
        assert process.poll() is None, output.with_suffix(".txt").read_text()[-3000:]
        time.sleep(0.02)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (process.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    process.wait()


def records(output: Path) -> dict[str, dict]:
    found = {}
    for path in sorted((output / "records").rglob("*.json")):
        content = json.loads(path.read_text())
        found[path.parent.name] = {k: v for k, v in content.items() if k not in TIME_KEYS}
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds children in /proc")
def test_a_killed_command_that_is_given_again_gives_the_same_table(datasets, tmp_path):
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    finish(unbroken, datasets)
    kill_in_training(broken, datasets, "baseline")
    finish(broken, datasets)

    assert records(broken) == records(unbroken)
    assert set(records(broken)) == {"baseline"}
    for path in sorted((broken / "records").rglob("*.npz")):
        other = unbroken / path.relative_to(broken)
        assert path.read_bytes() == other.read_bytes()
    assert tables(broken) == tables(unbroken)
    assert any(line.startswith("| baseline") for line in tables(broken))


def tables(output: Path) -> list[str]:
    """The lines of the Markdown, without the time of a step, which stands before the seed."""
    lines = (output / "results.md").read_text().splitlines()
    return [re.sub(r"\| \S+ \| 1 \|$", "| 1 |", line) for line in lines]
