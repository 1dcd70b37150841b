"""Commands whose disk is full, that are killed or lose a worker: a rerun completes."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
WORDS = ["data", "toy", "toy", "--photos", "40", "--size", "160", "--workers", "2"]


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))


def start(folder: Path, repo_root: Path, **options) -> subprocess.Popen:
    command = [sys.executable, "-m", "acnet.cli.main", *WORDS]
    environment = {**os.environ, "PYTHONPATH": str(repo_root)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        command, cwd=folder, env=environment, start_new_session=True, **pipes, **options
    )


def processes_of(session: int) -> list[int]:
    """Return the living processes of a session that work."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, its_session = (path / "stat").read_text().rpartition(")")[2].split()[:4]
            is_worker = b"spawn_main" in (path / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if int(its_session) == session and state != "Z" and is_worker:
            found.append(int(path.name))
    return found


def check_whole(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.suffix == ".jpg" and ".tmp" not in path.name:
            assert path.read_bytes().endswith(b"\xff\xd9")
        if path.suffix == ".json" and ".tmp" not in path.name:
            json.loads(path.read_text())


@pytest.mark.parametrize("how", ["full disk", "SIGTERM", "SIGKILL", "a worker"])
def test_a_rerun_completes(how, tmp_path, repo_root):
    process = start(tmp_path, repo_root, preexec_fn=small_files if how == "full disk" else None)
    if how != "full disk":
        deadline = time.monotonic() + 100
        while not list(tmp_path.rglob("*.jpg")) and time.monotonic() < deadline:
            time.sleep(0.02)
        if how == "a worker":
            os.kill(processes_of(process.pid)[0], signal.SIGKILL)
        else:
            process.send_signal(getattr(signal, how))
    _, errors = process.communicate(timeout=100)
    if how in ("full disk", "a worker"):
        assert process.returncode == 2
        assert errors.count("acnet: error: ") == 1
        assert "Traceback" not in errors
    deadline = time.monotonic() + 20
    while processes_of(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(process.pid) == []
    check_whole(tmp_path)
    again = start(tmp_path, repo_root)
    _, errors = again.communicate(timeout=200)
    assert again.returncode == 0, errors
    assert len(list(tmp_path.rglob("*.jpg"))) == 40
    check_whole(tmp_path)
