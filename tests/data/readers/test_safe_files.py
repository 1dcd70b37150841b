"""Names that lead elsewhere, text in any encoding, JSON of any content, links and pipes."""

import os
import unicodedata

import pytest

from acnet.data.readers.safe_files import (
    class_name,
    list_files,
    member,
    read_json,
    read_text,
    relative_name,
    shown,
)
from acnet.errors import UnreadableFileError, UserError
from acnet.file_names import NameIndex


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a.jpg", "a.jpg"),
        ("train/a.jpg", "train/a.jpg"),
        ("train\\a.jpg", "train/a.jpg"),  # from Windows
        ("./train//a.jpg", "train/a.jpg"),
        ("éà.jpg", "éà.jpg"),
        ("..a.jpg", "..a.jpg"),
        ("x" * 255, "x" * 255),
    ],
)
def test_names_below_the_folder(written, meant):
    assert relative_name(written) == meant


@pytest.mark.parametrize(
    "written",
    [
        *(
            "../a.jpg",
            "a/../../b.jpg",
            "a/../b.jpg",
            "..",
            "..\\a.jpg",
            "/etc/passwd",
            "\\\\host\\a",
        ),
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


@pytest.mark.parametrize(
    "content",
    ["é 1\r\n".encode(), "\ufeffé 1\r\n".encode(), "é 1\r\n".encode("utf-16")],
    ids=["plain", "mark", "utf-16"],
)
def test_text_of_windows(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    assert read_text(tmp_path / "a.txt").split() == ["é", "1"]


@pytest.mark.parametrize("content", ["é".encode("latin-1"), b"\xff\xfe1"])
def test_other_encodings_are_refused_by_name(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UnreadableFileError, match=r"a\.txt.*Save it as UTF-8\.$"):
        read_text(tmp_path / "a.txt")


def test_a_pipe_or_a_folder_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    for path in (tmp_path / "pipe.txt", tmp_path, tmp_path / "missing.txt"):
        with pytest.raises(FileNotFoundError):
            read_text(path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, '{"a": ' * 100_000, "9" * 5000, "nul", "\0"],
    ids=["empty", "open", "deep list", "deep object", "digits", "word", "zero"],
)
def test_what_is_no_json_is_refused_by_name(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UnreadableFileError, match=r"a\.json.*intact copy\.$"):
        read_json(tmp_path / "a.json")


def test_only_visible_files_with_the_suffix_are_listed(tmp_path):
    for name in ("b/a.JPG", "a.jpg", "._a.jpg", ".cache/b.jpg", "a.jpg.txt", "c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / os.fsdecode(b"\xe9.jpg")).touch()  # no Unicode
    (tmp_path / "b" / "circle").symlink_to(tmp_path)
    assert list_files(tmp_path, [".jpg", ".jpeg"]) == ["a.jpg", "b/a.JPG"]


def test_a_folder_that_cannot_be_listed_is_no_empty_folder(tmp_path):
    with pytest.raises(UserError, match="must be readable"):
        list_files(tmp_path / "missing", [".jpg"])


def test_names_are_found_in_another_case_and_another_unicode_form():
    composed, decomposed = "é.jpg", unicodedata.normalize("NFD", "é.jpg")
    index = NameIndex(["A.JPG", decomposed, "b.jpg", "B.jpg"])
    assert index.find("A.JPG") == index.find("a.jpg") == "A.JPG"
    assert index.find(composed) == decomposed
    assert (index.find("b.jpg"), index.find("B.jpg")) == ("b.jpg", "B.jpg")
    assert index.find("B.JPG") is None  # either could be meant
    assert "c.jpg" not in index


def test_anything_can_be_shown_in_a_message():
    deep: list = []
    for _ in range(10_000):
        deep = [deep]
    for value in ("x" * 10**6, deep, "\ud800\n", 10**4000, None, {"a": deep}):
        assert len(shown(value)) < 1000
        shown(value).encode()
        class_name(value).encode()
        assert "\n" not in class_name(value)
    assert class_name("  closed\tcomedo \n") == "closed comedo"
