"""What strangers' files may hold: each ends in a clear error or a counted skip.

No test may take long, write outside its target, or see anything but a UserError.
"""

import os
import struct
import time
import zlib

import pytest

from acnet.data.clean import MOST_LOST, SHOWN_BOXES
from acnet.data.readers.formats import open_source
from acnet.data.readers.voc import read_voc_xml
from acnet.errors import UnreadableFileError, UserError
from tests.data.samples import import_folder
from tests.data.small_sets import SETS, picture, voc, write, yolo, yolo_folders

LIMIT_SECONDS = 20
ENTITIES = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
HOSTILE_XML = {
    "bomb": f'<!DOCTYPE x [<!ENTITY l0 "lol">{ENTITIES}]><annotation>&l9;</annotation>',
    "file": '<!DOCTYPE x [<!ENTITY s SYSTEM "file:///etc/passwd">]><annotation>&s;</annotation>',
    "parameter": '<!DOCTYPE x SYSTEM "http://localhost/x.dtd" [<!ENTITY % a "b">]><annotation/>',
    "entity": "<a>&nbsp;</a>",
    "deep": "<annotation>" + "<a>" * 100_000,
    "encoding": '<?xml version="1.0" encoding="klingon"?><annotation/>',
    "no text": "\0\1",
    "empty": "",
}


@pytest.fixture(autouse=True)
def _bounded(tmp_path):
    """Fails a test that takes long or leaves files beside its folders."""
    (tmp_path / "secret.jpg").write_bytes(picture())
    start = time.process_time()  # not of others, on a busy machine
    yield
    assert time.process_time() - start < LIMIT_SECONDS
    assert {path.name for path in tmp_path.iterdir()} <= {"secret.jpg", "src", "dst"}


def run(tmp_path, *, skip=True):
    """Import `src` to `dst`, leaving unreadable files out."""
    return import_folder(tmp_path / "src", tmp_path / "dst", skip_unreadable=skip)


PICTURES = "[abl]*.[jp][pn]g"


def first(tmp_path, pattern):
    return min((tmp_path / "src").rglob(pattern))


def kept(imported):
    return sorted({r.file_name for records in imported.splits.values() for r in records})


def png(width: int, height: int) -> bytes:
    """A PNG that claims any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        content += struct.pack(">I", len(body)) + kind + body + checksum
    return content


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, png(10**9, 10**9), png(60_000, 60_000), png(0, 0), picture()[:300]],
    ids=["empty", "zeros", "bomb", "large", "nothing", "truncated"],
)
def test_one_bad_picture_is_skipped_and_counted(tmp_path, name, content):
    SETS[name](tmp_path / "src")
    victim = first(tmp_path, PICTURES)
    victim.write_bytes(content)
    imported = run(tmp_path)
    assert len(kept(imported)) == 3
    assert imported.notes.counts()["photo dropped: unreadable"] == 1
    with pytest.raises(UserError, match=rf"{victim.name}.*"):
        run(tmp_path, skip=False)


@pytest.mark.parametrize("target", ["secret.jpg", "/etc/passwd", "circle", "pipe"])
@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        *((name, PICTURES) for name in SETS),
        *(("voc", "*.xml"), ("acne04", "*.xml"), ("yolo", "a.txt"), ("yolo:folders", "a.txt")),
    ],
)
def test_a_link_out_and_a_pipe_are_skipped_and_counted(tmp_path, name, pattern, target):
    SETS[name](tmp_path / "src")
    victim = first(tmp_path, pattern)
    victim.unlink()
    if target == "pipe":
        os.mkfifo(victim)
    else:
        victim.symlink_to(victim.name if target == "circle" else tmp_path / target)
    imported = run(tmp_path)
    assert len(kept(imported)) == 3
    assert victim.stem in imported.layout.dropped.read_text()


@pytest.mark.parametrize("text", HOSTILE_XML.values(), ids=HOSTILE_XML)
def test_hostile_and_broken_xml_is_refused_by_name(tmp_path, text):
    write(tmp_path / "src" / "a.xml", text)
    with pytest.raises(UnreadableFileError, match=r"a\.xml.*intact copy\.$"):
        read_voc_xml(tmp_path / "src" / "a.xml")


def test_well_formed_xml_of_any_depth_is_read(tmp_path):
    voc(tmp_path / "src")
    text = f"<annotation>{'<object>' * 50_000}{'</object>' * 50_000}</annotation>"
    first(tmp_path, "*.xml").write_text(text)
    imported = run(tmp_path)
    assert imported.notes.counts() == {"object dropped: name ''": 1, MOST_LOST: 1}


def test_a_million_boxes_in_one_label_file(tmp_path):
    yolo_folders(tmp_path / "src")
    first(tmp_path, "labels/*/a.txt").write_text(
        "0 0.5 0.5 0.5 0.5\n" * 100_000 + "0 0.5 0.5 0 0.5\n" * 900_000
    )
    imported = run(tmp_path)
    assert sum(len(r.boxes_xyxy) for r in imported.splits["train"]) == 1
    assert imported.notes.counts() == {"box dropped: no area": 900_000, MOST_LOST: 1}
    assert len(imported.notes.items) == SHOWN_BOXES + 2


@pytest.mark.parametrize("split", ["../../dst2", "a:b", "x" * 300, "train_tiles", "con/../x", "é"])
def test_a_split_of_any_name_is_written_inside_the_target(tmp_path, split):
    voc(tmp_path / "src")
    lists = first(tmp_path, "Main")
    for path in lists.iterdir():
        path.unlink()
    (lists / f"{split.replace('/', '_')[:200]}.txt").write_text("a\n")
    imported = run(tmp_path)
    (name,) = imported.splits
    assert not name.endswith("_tiles")
    assert imported.layout.annotations(name).parent == tmp_path / "dst" / "annotations"
    assert imported.layout.annotations(name).is_file()


def test_names_of_no_unicode_are_not_seen_and_such_a_folder_is_refused(tmp_path):
    yolo(tmp_path / "src")
    odd = tmp_path / "src" / os.fsdecode(b"data\xe9.yaml")  # found by fuzzing
    (tmp_path / "src" / "data.yaml").rename(odd)
    write(tmp_path / "src" / "train" / "images" / os.fsdecode(b"\xe9.jpg"), picture())
    assert len(kept(run(tmp_path))) == 4
    folder = (tmp_path / "src").rename(tmp_path / "dst" / os.fsdecode(b"\xe9"))
    with pytest.raises(UserError, match=r"must be Unicode.*Rename its folder\.$"):
        open_source(folder)
