#!/usr/bin/env python
"""Kill a training again and again, resume it, and compare it with one that was left alone.

Both trainings start from the same config. One is killed by SIGKILL at random moments and resumed
until it has finished; after each kill every checkpoint must load. In the end the metrics (but for
the times) and the weights must be the same, bit for bit. The last line is the verdict.

  python scripts/kill_resume_check.py --config-file toy/acnet_r18 --kills 10 \\
      train.max_iter=40 train.checkpointer.period=5 train.log_period=1 train.eval_period=20
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

REPO_ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO_ROOT))  # a clone works without being installed

from acnet.engine.metrics import read_metrics

TIMES = {"data_time", "rank_data_time", "time", "eta_seconds"}


class Training:
    """One run of train_net.py in a folder.

    Args:
        folder: `train.output_dir`.
        config: name or path.
        overrides: key=value.
    """

    def __init__(self, folder: Path, config: str, overrides: list[str]):
        self.folder = folder
        script = REPO_ROOT / "projects" / "ACNet" / "train_net.py"
        self._command = [sys.executable, str(script), "--config-file", config, "--resume"]
        self._command += [*overrides, f"train.output_dir={folder}"]

    def start(self) -> subprocess.Popen:
        """Start or resume it, in a process group of its own, with its output in a file."""
        with (self.folder.with_suffix(".txt")).open("ab") as output:
            return subprocess.Popen(
                self._command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def finish(self) -> float:
        """Run it to its end and tell how many seconds passed from its first row on."""
        process = self.start()
        self._wait_for_row(process, 0)
        start = time.monotonic()
        if process.wait() != 0:
            raise SystemExit(f"FAIL: {self.folder} ended with {process.returncode}; see its .txt")
        return time.monotonic() - start

    def kill_after(self, iteration: int, seconds: float) -> bool:
        """Start it, and kill it some seconds after a row; False if it ended before."""
        process = self.start()
        self._wait_for_row(process, iteration)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        return False

    def last_iteration(self) -> int:
        """Tell the iteration of its last row, or -1."""
        rows = self.rows()
        return rows[-1]["iteration"] if rows else -1

    def _wait_for_row(self, process: subprocess.Popen, iteration: int) -> None:
        while process.poll() is None and self.last_iteration() < iteration:
            time.sleep(0.05)

    def rows(self) -> list[dict]:
        """Read its metrics without the times."""
        rows = read_metrics(self.folder / "metrics.json")
        return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]

    def weights(self) -> dict[str, torch.Tensor]:
        """Read its final weights."""
        return torch.load(self.folder / "model_final.pth", weights_only=True)["model"]

    def check_checkpoints(self) -> int:
        """Load every checkpoint, and follow the tag; count them."""
        tag = self.folder / "last_checkpoint"
        if tag.exists() and not (self.folder / tag.read_text()).is_file():
            raise SystemExit(f"FAIL: {tag} names a file that is not there")
        files = [path for path in sorted(self.folder.glob("*.pth")) if path.name[0] != "."]
        for path in files:
            torch.load(path, weights_only=True)  # raises where it is broken
        return len(files)


def main() -> int:
    """Run both trainings and compare them.

    Returns:
        0 if they are equal after as many kills as were asked for.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", default="toy/acnet_r18")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--output", type=Path, help="folder for both; default: a temporary one")
    parser.add_argument("opts", nargs="*", metavar="key=value", help="changes to the config")
    args = parser.parse_args()
    if args.output and args.output.is_dir() and any(args.output.iterdir()):
        parser.error(f"--output must be a new folder, or old runs would be resumed: {args.output}")
    with tempfile.TemporaryDirectory() as temporary:
        output = args.output or Path(temporary)
        output.mkdir(parents=True, exist_ok=True)
        unbroken = Training(output / "unbroken", args.config_file, args.opts)
        killed = Training(output / "killed", args.config_file, args.opts)
        seconds = unbroken.finish()
        length = unbroken.last_iteration() + 1
        moments = kill_repeatedly(killed, args.kills, random.Random(args.seed), length, seconds)
        killed.finish()
        return report(unbroken, killed, moments, args.kills)


def kill_repeatedly(
    run: Training, kills: int, rng: random.Random, length: int, seconds: float
) -> list[int]:
    """Kill a run at random moments of its training, and while it starts.

    Args:
        run: to be killed.
        kills: how many times.
        rng: draws the moments.
        length: iterations of the whole run.
        seconds: that an unbroken run trains.

    Returns:
        The last iteration in the metrics at each kill.
    """
    # Rows, and a moment after each: within a step, an evaluation, a checkpoint, or, where the row
    # was there before the start, while Python is still importing. Not in the last steps, which
    # might be over before the moment has come.
    after_rows = sorted(rng.randrange(max(1, int(0.8 * length))) for _ in range(kills))
    moments = []
    for iteration in after_rows:
        if not run.kill_after(iteration, rng.uniform(0, 0.1 * seconds)):
            break
        run.check_checkpoints()
        moments.append(run.last_iteration())
    return moments


def report(unbroken: Training, killed: Training, moments: list[int], kills: int) -> int:
    """Compare both runs and write the verdict.

    Args:
        unbroken: was left alone.
        killed: was not.
        moments: from `kill_repeatedly`.
        kills: how many were asked for.

    Returns:
        0 if all is equal.
    """
    faults = []
    if len(moments) < kills:
        faults.append(f"only {len(moments)} of {kills} kills came before the end: train longer")
    rows, rows_killed = unbroken.rows(), killed.rows()
    if rows != rows_killed:
        faults.append("metrics.json differs")
    weights, weights_killed = unbroken.weights(), killed.weights()
    different = [name for name in weights if not torch.equal(weights[name], weights_killed[name])]
    if different:
        faults.append(f"{len(different)} of {len(weights)} tensors differ")
    verdict = f"FAIL: {'; '.join(faults)}" if faults else "PASS"
    sys.stdout.write(
        f"{verdict}: {len(moments)} kills, after rows {moments}; {len(rows)} rows of metrics and "
        f"{len(weights)} tensors compared, {killed.check_checkpoints()} checkpoints load\n"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
