"""projects/ACNet/train_net.py as a user starts it: one process, two, torchrun, mistakes, kills."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from acnet.engine.metrics import read_metrics

PATIENCE_S = 300  # a busy machine may take long to start Python
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SHORT = ["train.max_iter=4", "train.eval_period=0", "train.checkpointer.period=2"]


@pytest.fixture
def train_net(repo_root, tiny_config_path, tmp_path) -> Iterator[Callable]:
    """Yield a function that starts train_net.py on the tiny config, in a process group."""
    environment = {**os.environ, "PYTHONPATH": str(repo_root), "PYTHONWARNINGS": "ignore"}
    common = {"cwd": tmp_path, "env": environment, "text": True, "start_new_session": True}
    script, started = str(repo_root / "projects" / "ACNet" / "train_net.py"), []

    def start(*options, launcher=(sys.executable,), log=subprocess.PIPE) -> subprocess.Popen:
        words = [*launcher, script, "--config-file", str(tiny_config_path), *options]
        started.append(subprocess.Popen(words, stdout=log, stderr=log, **common))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:  # a test failed before its end
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def finish(process: subprocess.Popen, code: int = 0) -> str:
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, output + errors
    return output


def final(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "model_final.pth", weights_only=True)["model"]


def terminate(process: subprocess.Popen, seen: Path, *, to_all: bool = True) -> str:
    """Send SIGTERM a moment after a file has appeared, and return what the process says."""
    deadline = time.monotonic() + PATIENCE_S
    while not seen.exists():
        assert time.monotonic() < deadline, f"{seen} did not appear"
        time.sleep(0.02)
    time.sleep(0.5)
    if to_all:  # a cluster tells every process, a user often the first one
        os.killpg(process.pid, signal.SIGTERM)
    else:
        process.terminate()
    return finish(process, 143)


def test_help_works_in_a_clone_that_is_not_installed(repo_root, tmp_path):
    script = repo_root / "projects" / "ACNet" / "train_net.py"
    words = [sys.executable, "-W", "ignore", str(script), "--help"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--config toy/acnet_r18 train.fast_dev_run=true" in done.stdout


def test_fast_dev_run_does_a_little_of_everything(train_net, tmp_path):
    output = finish(train_net("train.output_dir=out", "train.fast_dev_run=true"))
    assert "the numbers mean nothing" in output
    folder = tmp_path / "out" / "fast_dev_run"
    names = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "log.txt", "model_best.pth", "model_final.pth"} <= names
    (events,) = [name for name in names if name.startswith("events.out.tfevents")]
    assert events.split(".")[4] == "acnet"  # and not the name of this machine
    for name in names - {"config.yaml", "log.txt"}:  # which are for this machine only
        assert str(tmp_path).encode() not in (folder / name).read_bytes()
    assert [row["iteration"] for row in read_metrics(folder / "metrics.json")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("train.max_itr=5", "An override must name a key"),
        ("train.init_checkpoint=none.pth", "train.init_checkpoint names the weights"),
        ("+dataloader.train.dataset.names=acne", "A data set is given by a registered name"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(train_net, tmp_path, mistake, message):
    process = train_net("train.output_dir=out", mistake)
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert output == ""
    assert errors.startswith(f"error: {message}")
    assert errors.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_processes_train_alike_however_started_and_evaluate_as_one(train_net, tmp_path):
    spawned = train_net("--num-gpus", "2", "--dist-url", "auto", "train.output_dir=spawned", *SHORT)
    by_torchrun = train_net("train.output_dir=torchrun", *SHORT, launcher=TORCHRUN)
    assert "No GPU here: 2 processes share the CPU (gloo)" in finish(spawned)
    finish(by_torchrun)
    folders = [tmp_path / name for name in ("spawned", "torchrun")]
    rows, rows_torchrun = (read_metrics(folder / "metrics.json") for folder in folders)
    for row, other in zip(rows, rows_torchrun, strict=True):
        assert all(row[key] == other[key] for key in ("iteration", "total_loss", "lr"))
    torch.testing.assert_close(*map(final, folders), rtol=0, atol=0)

    weights = "train.init_checkpoint=spawned/model_final.pth"
    finish(train_net("--eval-only", "train.output_dir=spawned", weights))
    alone = json.loads((tmp_path / "spawned" / "evaluation.json").read_text())["results"]
    last_row = read_metrics(tmp_path / "spawned" / "metrics.json")[-1]
    assert alone["bbox"]["AP50"] == last_row["bbox/AP50"]


@pytest.mark.slow
@pytest.mark.parametrize("num_processes", [1, 2])
@pytest.mark.parametrize("to_all", [True, False])
def test_sigterm_saves_and_exits_with_143(train_net, tmp_path, num_processes, to_all):
    options = ("--num-gpus", str(num_processes), "--dist-url", "auto", "train.output_dir=out")
    long = ("train.max_iter=1000000", "train.checkpointer.period=1000000", "train.eval_period=0")
    process = train_net(*options, *long, "dataloader.train.num_workers=1")
    output = terminate(process, tmp_path / "out" / "metrics.json", to_all=to_all)
    last = (tmp_path / "out" / "last_checkpoint").read_text()
    content = torch.load(tmp_path / "out" / last, weights_only=True)
    assert content["trainer"]["iteration"] == content["iteration"] > 0
    assert f"after iteration {content['iteration']}" in output


@pytest.mark.slow
def test_sigterm_to_all_during_an_evaluation(train_net, tmp_path):
    # Each evaluation takes a hundred times as long as the training between two of them.
    options = ("train.output_dir=out", "train.max_iter=1000000", "train.eval_period=2")
    images = ("dataloader.test.dataset.num_images=2000", "dataloader.test.num_workers=1")
    terminate(train_net(*options, *images), tmp_path / "out" / "model_best.pth")


KILLS, ITERATIONS = 3, 1500


@pytest.mark.slow
def test_kill_9_leaves_no_trace(train_net, tmp_path, metrics):
    def start_until(iteration: int, name: str) -> subprocess.Popen:
        settings = (f"train.max_iter={ITERATIONS}", "train.eval_period=100")
        settings += ("train.checkpointer.period=20", "dataloader.train.num_workers=1")
        with (tmp_path / f"{name}.txt").open("ab") as log:
            process = train_net("--resume", f"train.output_dir={name}", *settings, log=log.fileno())
        while process.poll() is None and len(metrics(tmp_path / name)) <= iteration:
            time.sleep(0.05)
        return process

    def finish_alone(name: str) -> float:
        process, start = start_until(0, name), time.monotonic()
        assert process.wait() == 0, (tmp_path / f"{name}.txt").read_text()[-3000:]
        return time.monotonic() - start

    seconds = finish_alone("unbroken")
    # Rows, and a moment after each: within a step, an evaluation, a checkpoint, or, where the row
    # was there before the start, while Python is still importing. Not in the last steps, which
    # might be over before the moment has come.
    rng, folder = random.Random(0), tmp_path / "killed"
    for iteration in sorted(rng.randrange(int(0.8 * ITERATIONS)) for _ in range(KILLS)):
        process = start_until(iteration, "killed")
        with pytest.raises(subprocess.TimeoutExpired):  # else it ended before: train longer
            process.wait(timeout=rng.uniform(0, 0.1 * seconds))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        tag = folder / "last_checkpoint"
        assert not tag.exists() or (folder / tag.read_text()).is_file()
        for path in folder.glob("[!.]*.pth"):
            torch.load(path, weights_only=True)  # raises where it is broken
    finish_alone("killed")
    assert metrics(folder) == metrics(tmp_path / "unbroken")
    torch.testing.assert_close(final(folder), final(tmp_path / "unbroken"), rtol=0, atol=0)
