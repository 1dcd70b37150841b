"""Outputs replace nothing but what the command wrote, and tables run nothing."""

import os
from pathlib import Path

import pytest

from acnet.checkpoint.bundle import read_bundle
from acnet.errors import UserError
from acnet.export.metadata import read_export
from acnet.output_files import check_output_file, spreadsheet_cell, write_csv

MARK = '"schema_version"'


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


@pytest.mark.parametrize("sign", list("=+-@\t\r"))
def test_text_that_could_be_a_formula_is_text(sign):
    assert spreadsheet_cell(f"{sign}1+1.jpg") == f"'{sign}1+1.jpg"


def test_a_table_for_spreadsheets(tmp_path):
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
