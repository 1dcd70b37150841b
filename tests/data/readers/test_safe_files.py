"""Names that lead elsewhere, text in any encoding, JSON of any content, links and pipes."""

import os

import pytest

from acnet.cli.data import FORMATS as NAMES
from acnet.data.readers.formats import FORMATS, OTHER_PICTURE, open_source
from acnet.data.readers.safe_files import (
    class_name,
    list_files,
    member,
    read_json,
    read_text,
    relative_name,
)
from acnet.errors import UnreadableFileError, UserError
from tests.data.small_sets import coco, write


def test_names_below_the_folder():
    for written in ("a.jpg", "train/a.jpg", "éà.jpg", "..a.jpg", "x" * 255):
        assert relative_name(written) == written
    for written in ("train\\a.jpg", "./train//a.jpg"):
        assert relative_name(written) == "train/a.jpg"


@pytest.mark.parametrize(
    "written",
    [
        *("../a.jpg", "a/../../b.jpg", "a/../b.jpg", "..", "..\\a.jpg", "/etc/passwd"),
        "\\\\host\\a",
        *("C:\\a.jpg", "c:a.jpg", "", ".", "/", "a\0.jpg", "\ud800.jpg", "x" * 256, "x/" * 5000),
    ],
)
def test_names_that_lead_elsewhere_are_refused(written):
    with pytest.raises(UnreadableFileError, match=r"Received .*Correct the name"):
        relative_name(written)


def test_links_may_lead_only_inside(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    (tmp_path / "secret.jpg").touch()
    (root / "a.jpg").touch()
    (root / "inside.jpg").symlink_to("a.jpg")
    (root / "outside.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "folder").symlink_to(tmp_path)
    (root / "circle.jpg").symlink_to("circle.jpg")
    for name in ("a.jpg", "inside.jpg", "missing.jpg"):
        assert member(root, name) == root / name
    for name in ("outside.jpg", "folder/secret.jpg", "circle.jpg"):
        with pytest.raises(UnreadableFileError, match=name.rpartition("/")[2]):
            member(root, name)
    (tmp_path / "link").symlink_to(root)  # the folder itself may be a link
    assert member(tmp_path / "link", "a.jpg").name == "a.jpg"


def test_text_is_in_utf_8_or_utf_16_and_in_a_file(tmp_path):
    path = tmp_path / "a.txt"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_bytes("é 1\r\n".encode(encoding))
        assert read_text(path).split() == ["é", "1"]
    for content in ("é".encode("latin-1"), b"\xff\xfe1"):
        path.write_bytes(content)
        with pytest.raises(UnreadableFileError, match=r"a\.txt.*Save it as UTF-8\.$"):
            read_text(path)
    os.mkfifo(tmp_path / "pipe.txt")
    for no_file in (tmp_path / "pipe.txt", tmp_path, tmp_path / "missing.txt"):
        with pytest.raises(FileNotFoundError):
            read_text(no_file)


def test_what_is_no_json_is_refused_by_name(tmp_path):
    for text in ("", "{", "[" * 100_000, '{"a": ' * 100_000, "9" * 5000, "nul", "\0"):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(UnreadableFileError, match=r"a\.json.*intact copy\.$"):
            read_json(tmp_path / "a.json")


def test_only_visible_files_with_the_suffix_are_listed(tmp_path, caplog):
    for name in ("b/a.JPG", "a.jpg", "._a.jpg", ".cache/b.jpg", "a.jpg.txt", "c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / os.fsdecode(b"\xe9.jpg")).touch()  # no Unicode
    (tmp_path / "b" / "circle").symlink_to(tmp_path)
    (tmp_path / "photos").symlink_to(tmp_path / "gone")
    assert list_files(tmp_path, [".jpg", ".jpeg"]) == ["a.jpg", "b/a.JPG"]
    assert "circle is a link to a folder and not followed" in caplog.text
    assert "photos is a link to nothing" in caplog.text
    with pytest.raises(UserError, match="must be readable"):  # which is no empty folder
        list_files(tmp_path / "missing", [".jpg"])


def test_anything_becomes_the_name_of_a_class():
    deep: list = []
    for _ in range(10_000):
        deep = [deep]
    for value in ("x" * 10**6, deep, "\ud800\n", 10**4000, None, {"a": deep}):
        class_name(value).encode()
        assert "\n" not in class_name(value)
    assert class_name("  closed\tcomedo \n") == "closed comedo"


def test_the_command_line_lists_every_format():
    assert ("auto", *sorted(FORMATS)) == NAMES


def test_places_and_formats_that_do_not_fit(tmp_path):
    coco(tmp_path)
    with pytest.raises(UserError, match=r"'kitti'.*'auto' to recognise it\.$"):
        open_source(tmp_path, "kitti")
    with pytest.raises(UserError, match=r"none.*Correct the path\.$"):
        open_source(tmp_path, image_root=tmp_path / "none")
    with pytest.raises(UserError, match=r"yolo is a folder.*a file"):
        open_source(tmp_path / "train" / "_annotations.coco.json", "yolo")


def test_pictures_that_no_reader_takes_are_named(tmp_path):
    write(tmp_path / "raw" / "a.CR2", b"")
    told = (
        r"(?s)yolo: data\.yaml.*raw photos are not read: a\.CR2.*JPEG or TIFF.*name the format\.$"
    )
    with pytest.raises(UserError, match=told):
        open_source(tmp_path / "raw")
    coco(tmp_path / "set")
    for name in ("b.NEF", "c.dng", "d.psd"):
        write(tmp_path / "set" / "train" / name, b"")
    notes = {note.kind: note for note in open_source(tmp_path / "set").notes}
    raw, other = notes["raw photos are not read"], notes[OTHER_PICTURE]
    assert (raw.file_name, raw.count) == ("train/b.NEF", 2)
    assert (other.file_name, other.count) == ("train/d.psd", 1)
