"""The old file or the new one, whatever happens, and nothing of others; tables run nothing."""

import os
import signal
import time
from pathlib import Path

import pytest

from acnet.checkpoint.bundle import read_bundle
from acnet.errors import UnreadableFileError, UserError
from acnet.export.metadata import read_export
from acnet.files import (
    atomic_write,
    check_output_file,
    default_workers,
    digest,
    file_sha256,
    map_photos,
    spreadsheet_cell,
    write_csv,
    write_json,
    write_text,
)

MARK = '"schema_version"'


def test_the_file_appears_when_the_block_ends_and_a_block_must_write_one(tmp_path):
    target = tmp_path / "new" / "folder" / "a.jpg"
    with atomic_write(target) as temporary:
        temporary.write_bytes(b"x")
        assert temporary.suffix == ".jpg"
        assert not target.exists()
    assert target.read_bytes() == b"x"
    assert [path.name for path in target.parent.iterdir()] == ["a.jpg"]

    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "nothing.txt"):
        pass


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


def test_a_kill_leaves_the_old_file(tmp_path, run_python):
    target = tmp_path / "a.txt"
    target.write_text("old")
    code = (
        "import os, sys, signal\n"
        "from acnet.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run_python("-c", code, target, status=-signal.SIGKILL)
    assert target.read_text() == "old"


def test_a_new_file_has_the_rights_that_open_would_give(tmp_path):
    (tmp_path / "plain").touch()
    write_text(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_json_and_text_are_utf8_with_unix_ends_and_nan_is_none(tmp_path):
    write_json(tmp_path / "a.json", {"name": "Åkne", "boxes": [1.0, 2.5]})
    assert (tmp_path / "a.json").read_bytes() == '{"name": "Åkne", "boxes": [1.0, 2.5]}\n'.encode()
    write_json(tmp_path / "b.json", {"file_name": "\ud800.jpg"})  # half of a surrogate pair
    assert (tmp_path / "b.json").read_bytes() == b'{"file_name": "\\ud800.jpg"}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "c.json", [float("nan")])
    assert len(list(tmp_path.iterdir())) == 2


def test_hashes_are_of_content_alone(tmp_path):
    assert digest({"a": 1, "b": [2, None]}) == digest({"b": [2, None], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert digest([os.path.join]) == digest([os.path.join]) != digest([os.path.split])
    (tmp_path / "a").write_bytes(bytes(5_000_000))
    (tmp_path / "b").write_bytes(bytes(4_999_999) + b"x")
    assert file_sha256(tmp_path / "a") != file_sha256(tmp_path / "b")


def check(path: Path, **options) -> None:
    check_output_file(path, marks=[MARK], option="--json", **options)


def test_new_files_and_those_of_the_command_may_be_written(tmp_path):
    check(tmp_path / "new" / "folder" / "a.json")
    (tmp_path / "mine.json").write_text('{"schema_version": 1}')
    check(tmp_path / "mine.json", inputs=[tmp_path / "other.json"])
    (tmp_path / "empty.json").write_text("")
    check(tmp_path / "empty.json")


def test_an_input_is_no_output_under_any_of_its_names(tmp_path, monkeypatch):
    there = tmp_path / "gt.json"
    there.write_text('{"schema_version": 1}')
    os.link(there, tmp_path / "hard.json")
    (tmp_path / "soft.json").symlink_to(there)
    monkeypatch.chdir(tmp_path)
    for name in (there, Path("gt.json"), Path("x/../gt.json"), "hard.json", "soft.json"):
        with pytest.raises(UserError, match="which is an input of this command; name another"):
            check(Path(name), inputs=[there])
    with pytest.raises(UserError, match="which is an input"):
        check(Path("later.json"), inputs=[tmp_path / "later.json"])  # neither is there yet


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("notes.json", "which holds something else"),
        ("folder", "which is a folder"),
        ("notes.json/a.json", "notes.json is no folder"),
        ("link.json", "which is a link or a device"),
        ("lost.json", "which is a link or a device"),
        ("fifo", "which is a link or a device"),
        ("x" * 300, "which cannot be written"),
    ],
)
def test_what_cannot_be_written_or_is_not_ours_is_refused(tmp_path, name, fault):
    (tmp_path / "notes.json").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "mine.json").write_text(MARK)
    (tmp_path / "link.json").symlink_to(tmp_path / "mine.json")
    (tmp_path / "lost.json").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UserError, match=f"Received --json .*{fault}.*; name another file"):
        check(tmp_path / name)
    assert (tmp_path / "notes.json").read_text() == "mine"


def test_a_table_for_spreadsheets_in_which_text_is_no_formula(tmp_path):
    for sign in "=+-@\t\r":
        assert spreadsheet_cell(f"{sign}1+1.jpg") == f"'{sign}1+1.jpg"
    rows = [("photo", "count"), ("=1.jpg", -3), ("Müller, 2.jpg", None)]
    write_csv(tmp_path / "a.csv", rows)
    assert (tmp_path / "a.csv").read_bytes().decode() == (
        'photo,count\n\'=1.jpg,-3\n"Müller, 2.jpg",\n'
    )
    write_csv(tmp_path / "b.csv", rows, bom=True)
    assert (tmp_path / "b.csv").read_text(encoding="utf-8-sig") == (tmp_path / "a.csv").read_text()
    assert (tmp_path / "b.csv").read_bytes()[:3] == b"\xef\xbb\xbf"


@pytest.mark.parametrize("content", [b"", b"hello", bytes(100), b"\x08\x07\x12\x07pytorch"])
@pytest.mark.parametrize("read", [read_bundle, read_export])
def test_a_file_is_known_by_reading_it(tmp_path, repo_root, content, read):
    path = tmp_path / ("model.onnx" if read is read_export else "model.safetensors")
    path.write_bytes(content)
    if not content:
        check_output_file(path, known=read)
        return
    with pytest.raises(UserError, match="which holds something else; name another file"):
        check_output_file(path, known=read)
    check_output_file(repo_root / "weights" / "acnet-r18-demo.safetensors", known=read_bundle)


def square(value: int) -> int:
    if value < 0:
        raise UnreadableFileError(f"Received {value}.")
    return value * value


@pytest.mark.parametrize("workers", [1, 2])
def test_results_keep_the_order_and_an_error_of_a_worker_arrives(workers):
    items = list(range(20))
    found = map_photos(square, items, workers=workers, description="squaring")
    assert list(found) == [value * value for value in items]
    assert list(map_photos(square, [], workers=workers, description="squaring")) == []
    assert default_workers() >= 1
    with pytest.raises(UnreadableFileError, match="Received -1"):
        list(map_photos(square, [1, -1, 2], workers=workers, description="squaring"))


def test_an_error_in_a_thread_abandons_the_rest():
    done = []

    def work(item):
        if item == 0:
            raise KeyError(item)
        time.sleep(0.02)
        done.append(item)

    with pytest.raises(KeyError):
        list(map_photos(work, range(200), workers=2, description="testing"))
    assert len(done) < 200
