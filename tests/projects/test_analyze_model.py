"""The script as a user runs it."""

import re
import subprocess
import sys

import pytest

CONFIG = "toy/acnet_r18"


def _run(repo_root, *args):
    return subprocess.run(
        [sys.executable, "projects/ACNet/analyze_model.py", "--config-file", CONFIG, *args],
        cwd=repo_root,
        capture_output=True,
        text=True,
        check=False,
    )


def test_size_is_a_table_that_adds_up(repo_root):
    result = _run(repo_root)
    assert result.returncode == 0, result.stderr
    rows = re.findall(r"\|\s+([\w :()]+) \|\s+([\d,]+) \|", result.stdout)
    parameters = [int(count.replace(",", "")) for _, count in rows]
    assert rows[-1][0] == "all"
    assert sum(parameters[:-1]) == parameters[-1] > 7_000_000


@pytest.mark.parametrize("task", ["train", "predict"])
def test_steps_are_timed(repo_root, task):
    result = _run(
        repo_root, "--task", task, "--size", "96", "96", "--repeats", "1", "train.amp.enabled=false"
    )
    assert result.returncode == 0, result.stderr
    assert re.search(rf"^{task}, 1 of 96x96: median \d+\.\d+ s .* memory \d", result.stdout, re.M)
