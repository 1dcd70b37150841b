"""Atomic writing: the old file or the new one, whatever happens."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from acnet.files import atomic_write, write_json, write_text


def test_the_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "folder" / "a.jpg"
    with atomic_write(target) as temporary:
        temporary.write_bytes(b"x")
        assert temporary.suffix == ".jpg"
        assert not target.exists()
    assert target.read_bytes() == b"x"
    assert [path.name for path in target.parent.iterdir()] == ["a.jpg"]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail_halfway():
        with atomic_write(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_halfway()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_kill_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    code = (
        "import os, sys, signal\n"
        "from acnet.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code, str(target)], cwd=root, check=False)
    assert done.returncode < 0
    assert target.read_text() == "old"


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a.txt"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_has_the_rights_that_open_would_give(tmp_path):
    (tmp_path / "plain").touch()
    write_text(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_json_and_text_are_utf8_with_unix_ends(tmp_path):
    write_json(tmp_path / "a.json", {"name": "Åkne", "boxes": [1.0, 2.5]})
    assert (tmp_path / "a.json").read_bytes() == '{"name": "Åkne", "boxes": [1.0, 2.5]}\n'.encode()
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["name"] == "Åkne"


def test_nan_is_no_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", [float("nan")])
    assert list(tmp_path.iterdir()) == []
