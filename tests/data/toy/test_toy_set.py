"""The toy set on disk: ACNE04's layout, the same bytes each time, and no mixing."""

import dataclasses
import json
import shutil

import pytest

from acnet.cli import main
from acnet.data.readers.acne04 import open_acne04
from acnet.data.toy import toy_set as archive
from acnet.data.toy.toy_photo import draw_photo
from acnet.data.toy.toy_set import write_toy_set
from acnet.errors import UserError
from acnet.evaluation.counting import hayashi_grade
from tests.data.samples import TOY_COUNT, TOY_OPTIONS, contents, interrupt

COMMAND = ["data", "toy", "--size", "64", "--lesion-px", "6", "20", "--workers", "1"]


def test_what_is_read_is_what_was_drawn(toy_photos):
    source = open_acne04(toy_photos)
    names = {name for members in source.splits.values() for name in members}
    assert len(names) == TOY_COUNT
    for name in names:
        index = int(name.split("_")[1].split(".")[0])
        drawn = draw_photo(TOY_OPTIONS, index)
        record = source.read(name)
        assert record.boxes_xyxy.tolist() == drawn.boxes_xyxy.tolist()
        assert record.image_hw == drawn.image_bgr.shape[:2]
        assert name == f"levle{hayashi_grade(len(drawn.boxes_xyxy))}_{index}.jpg"


def test_a_set_grows_by_the_same_bytes_and_a_complete_one_is_left_as_it_is(toy_photos, tmp_path):
    dst = tmp_path / "b"
    write_toy_set(dst, TOY_OPTIONS, photos=6, workers=1)
    small, large = contents(dst), contents(toy_photos)
    pictures = [name for name in small if name.endswith((".jpg", ".xml"))]
    assert len(pictures) == 12
    assert all(small[name] == large[name] for name in pictures)
    write_toy_set(dst, TOY_OPTIONS, photos=TOY_COUNT, workers=2)
    assert contents(dst) == large
    times = {path: path.stat().st_mtime_ns for path in dst.rglob("*")}
    assert write_toy_set(dst, TOY_OPTIONS, photos=TOY_COUNT, workers=1) == []
    assert {path: path.stat().st_mtime_ns for path in dst.rglob("*")} == times


def test_an_interrupted_set_is_finished(toy_photos, tmp_path, monkeypatch):
    dst = tmp_path / "b"
    with monkeypatch.context() as patch:
        patch.setattr(archive, "_write_lists", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_toy_set(dst, TOY_OPTIONS, photos=TOY_COUNT, workers=1)
    assert json.loads((dst / "toy.json").read_text())["complete"] is False
    half = dst / "Classification" / "JPEGImages" / ".levle0_1.0123456789ab.tmp.jpg"  # of a kill
    half.write_bytes(b"half")
    write_toy_set(dst, TOY_OPTIONS, photos=TOY_COUNT, workers=1)
    assert contents(dst) == contents(toy_photos)


def test_other_options_are_refused_unless_they_replace(toy_photos, tmp_path, monkeypatch):
    dst = tmp_path / "b"
    shutil.copytree(toy_photos, dst)
    other = dataclasses.replace(TOY_OPTIONS, density=0.5)
    for options, photos in ((other, TOY_COUNT), (TOY_OPTIONS, TOY_COUNT - 1)):
        with pytest.raises(UserError, match=r"Choose another folder, or .* --overwrite\.$"):
            write_toy_set(dst, options, photos=photos, workers=1)
    assert contents(dst) == contents(toy_photos)
    (dst / "notes.txt").write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(archive.shutil, "rmtree", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_toy_set(dst, other, photos=5, workers=1, overwrite=True)
    assert json.loads((dst / "toy.json").read_text())["complete"] is False
    write_toy_set(dst, other, photos=5, workers=1, overwrite=True)
    assert len(list((dst / "Classification" / "JPEGImages").iterdir())) == 5
    assert (dst / "notes.txt").read_text() == "mine"


def test_a_folder_of_other_files_is_never_touched(tmp_path):
    (tmp_path / "Classification").mkdir()
    (tmp_path / "Classification" / "real.jpg").write_bytes(b"x")
    for overwrite in (False, True):
        with pytest.raises(UserError, match=r"no toy set\. Choose another folder\.$"):
            write_toy_set(tmp_path, TOY_OPTIONS, photos=5, workers=1, overwrite=overwrite)
    assert contents(tmp_path) == {"Classification/real.jpg": b"x"}


def test_a_file_a_broken_marker_and_fewer_photos_than_folds_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="Received the file"):
        write_toy_set(tmp_path / "file", TOY_OPTIONS, photos=5, workers=1)
    for broken in ("{", "[]"):
        (tmp_path / "toy.json").write_text(broken)
        with pytest.raises(UserError, match=r"toy\.json.*must be a JSON object"):
            write_toy_set(tmp_path, TOY_OPTIONS, photos=5, workers=1)
    with pytest.raises(UserError, match="at least 5"):
        write_toy_set(tmp_path / "b", TOY_OPTIONS, photos=4, workers=1)


def test_the_command(tmp_path, capsys):
    words = [*COMMAND, str(tmp_path / "toy"), "--photos", "5", "--seed"]
    for seed, more, status, news in (
        *(("2", [], 0, "5 photos with"), ("2", [], 0, "complete"), ("3", [], 2, "--overwrite")),
        ("3", ["--overwrite"], 0, "5 photos with"),
    ):
        assert main.main([*words, seed, *more]) == status
        assert news in "".join(capsys.readouterr())
