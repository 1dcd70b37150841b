"""A training that is killed again and again, and resumed, equals one that was left alone."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from acnet.engine.metrics import read_metrics

KILLS, ITERATIONS = 3, 1500
TIMES = {"data_time", "rank_data_time", "time", "eta_seconds"}


class Training:
    """One run of train_net.py in a folder."""

    def __init__(self, repo_root: Path, config: Path, folder: Path):
        self.folder = folder
        script = repo_root / "projects" / "ACNet" / "train_net.py"
        self._command = [sys.executable, "-W", "ignore", str(script), "--config-file", str(config)]
        self._command += ["--resume", f"train.max_iter={ITERATIONS}", "train.eval_period=100"]
        self._command += ["train.checkpointer.period=20", "dataloader.train.num_workers=1"]
        self._command += [f"train.output_dir={folder}"]
        self._environment = {**os.environ, "PYTHONPATH": str(repo_root), "CUDA_VISIBLE_DEVICES": ""}

    def start_until(self, iteration: int) -> subprocess.Popen:
        """Start or resume it in a process group of its own, and wait for a row of its metrics."""
        with self.folder.with_suffix(".txt").open("ab") as output:
            process = subprocess.Popen(
                self._command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        while process.poll() is None and self.last_iteration() < iteration:
            time.sleep(0.05)
        return process

    def finish(self) -> float:
        """Run it to its end and return how many seconds passed from its first row on."""
        process = self.start_until(0)
        start = time.monotonic()
        assert process.wait() == 0, self.folder.with_suffix(".txt").read_text()[-3000:]
        return time.monotonic() - start

    def kill_after(self, iteration: int, seconds: float) -> None:
        """Start it, and kill it some seconds after a row."""
        process = self.start_until(iteration)
        with pytest.raises(subprocess.TimeoutExpired):  # else it ended before: train longer
            process.wait(timeout=seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def last_iteration(self) -> int:
        """Return the iteration of its last row, or -1."""
        rows = self.rows()
        return rows[-1]["iteration"] if rows else -1

    def rows(self) -> list[dict]:
        """Read its metrics without the times."""
        rows = read_metrics(self.folder / "metrics.json")
        return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]

    def weights(self) -> dict[str, torch.Tensor]:
        """Read its final weights."""
        return torch.load(self.folder / "model_final.pth", weights_only=True)["model"]

    def check_checkpoints(self) -> None:
        """Load every checkpoint, and follow the tag."""
        tag = self.folder / "last_checkpoint"
        assert not tag.exists() or (self.folder / tag.read_text()).is_file()
        for path in self.folder.glob("[!.]*.pth"):
            torch.load(path, weights_only=True)  # raises where it is broken


@pytest.mark.slow
def test_kill_9_leaves_no_trace(repo_root: Path, tiny_config_path: Path, tmp_path: Path):
    unbroken = Training(repo_root, tiny_config_path, tmp_path / "unbroken")
    killed = Training(repo_root, tiny_config_path, tmp_path / "killed")
    seconds = unbroken.finish()
    # Rows, and a moment after each: within a step, an evaluation, a checkpoint, or, where the row
    # was there before the start, while Python is still importing. Not in the last steps, which
    # might be over before the moment has come.
    rng = random.Random(0)
    for iteration in sorted(rng.randrange(int(0.8 * ITERATIONS)) for _ in range(KILLS)):
        killed.kill_after(iteration, rng.uniform(0, 0.1 * seconds))
        killed.check_checkpoints()
    killed.finish()
    assert killed.rows() == unbroken.rows()
    torch.testing.assert_close(killed.weights(), unbroken.weights(), rtol=0, atol=0)
