"""Recognising a format, and opening each by name and without."""

import pytest

from acnet.cli.data import FORMATS as NAMES
from acnet.data.readers.formats import FORMATS, open_source
from acnet.errors import UserError
from tests.data.small_sets import SETS, acne04, coco, write


@pytest.mark.parametrize("name", SETS)
def test_every_format_is_recognised(tmp_path, name):
    SETS[name](tmp_path)
    source = open_source(tmp_path)
    assert source.format == name.partition(":")[0]
    named = open_source(str(tmp_path), source.format)
    assert named.splits == source.splits
    members = {photo for photos in source.splits.values() for photo in photos}
    assert len(members) == 4
    assert all(len(source.read(photo).names) > 0 for photo in members)
    assert list(source.notes) == [] or source.format in ("coco", "acne04_v2")  # ids from 0
    assert all(path.is_file() for path in source.inputs)


def test_the_command_line_lists_every_format():
    assert ("auto", *sorted(FORMATS)) == NAMES


def test_no_format_fits(tmp_path):
    write(tmp_path / "README.md", "")
    with pytest.raises(UserError, match=r"(?s)yolo: data\.yaml.*name the format\.$"):
        open_source(tmp_path)


def test_paths_and_formats_that_do_not_exist(tmp_path):
    coco(tmp_path)
    with pytest.raises(UserError, match=r"none.*Correct the path\.$"):
        open_source(tmp_path / "none")
    with pytest.raises(UserError, match="Correct the path"):
        open_source(tmp_path, image_root=tmp_path / "none")
    with pytest.raises(UserError, match=r"'kitti'.*'auto' to recognise it\.$"):
        open_source(tmp_path, "kitti")
    with pytest.raises(UserError, match=r"yolo is a folder.*a file"):
        open_source(tmp_path / "train" / "_annotations.coco.json", "yolo")


def test_the_roots_reach_the_reader(tmp_path):
    acne04(tmp_path)
    (tmp_path / "Classification" / "JPEGImages").rename(tmp_path / "photos")
    source = open_source(tmp_path, "acne04", image_root=tmp_path / "photos")
    assert source.image_root == tmp_path / "photos"
