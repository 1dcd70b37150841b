"""Whole prepared sets: the same bytes however they come about, and sets that cannot be cut."""

import dataclasses
import errno
import json
import shutil
import signal
import subprocess
import sys
import time

import pytest

from acnet.data.prepared_set import PreparedLayout
from acnet.data.readers.safe_files import read_json
from acnet.data.tiles import tile_set as tile_set_module
from acnet.data.tiles.tile_plan import TileOptions
from acnet.data.tiles.tile_set import tile_set
from acnet.errors import UserError
from tests.data.samples import contents, write_photo, write_set

OPTIONS = TileOptions(tile_px=64, overlap_px=32)
SPLITS = {"train_0": ["a.png", "b.png"], "test_0": ["c.png"], "test_1": ["a.png", "d.png"]}


@pytest.fixture
def layout(tmp_path) -> PreparedLayout:
    for i, name in enumerate("abcd"):
        write_photo(tmp_path / "photos" / f"{name}.png", (100 + i, 150 - i))
    return write_set(tmp_path / "set", tmp_path / "photos", SPLITS)


def test_every_tile_knows_its_photo(layout):
    counts = tile_set(layout, OPTIONS)
    assert [count.split for count in counts] == list(SPLITS)
    photos = read_json(layout.annotations("test_1"))["images"]
    tiles = read_json(layout.annotations("test_1", tiles=True))["images"]
    assert {tile["photo_file_name"] for tile in tiles} == {"a.png", "d.png"}
    photo_of_id = {photo["id"]: photo["file_name"] for photo in photos}
    for tile in tiles:
        name, (left, top) = tile["photo_file_name"], tile["offset_xy"]
        assert photo_of_id[tile["photo_id"]] == name
        assert tile["file_name"] == f"{name.removesuffix('.png')}_y{top:05d}_x{left:05d}.jpg"
        assert (layout.tiles / tile["file_name"]).is_file()


def test_training_leaves_empty_tiles_out_and_evaluation_does_not(layout):
    train, _, test = tile_set(layout, OPTIONS)
    assert train.empty_tiles < test.empty_tiles
    train, _, test = tile_set(layout, dataclasses.replace(OPTIONS, train_splits=()))
    # Rows at 0, 32 and 36 or so, columns at 0, 32, 64 and 86 or so, on each of two photos.
    assert train.tiles == test.tiles == 2 * 3 * 4


def test_twice_and_in_more_threads_gives_the_same_bytes(layout):
    tile_set(layout, OPTIONS)
    first = contents(layout.folder)
    tile_set(layout, OPTIONS, workers=3)
    assert contents(layout.folder) == first
    shutil.rmtree(layout.tiles)
    (layout.folder / "tiles.jsonl").unlink()
    tile_set(layout, OPTIONS, workers=3)
    assert contents(layout.folder) == first


def test_a_photo_of_several_splits_is_cut_once_and_not_again(layout):
    tile_set(layout, OPTIONS)
    times = {path: path.stat().st_mtime_ns for path in layout.tiles.iterdir()}
    (layout.tiles / "a_y00000_x00000.jpg").write_bytes(b"half a")
    tile_set(layout, OPTIONS)
    again = {path for path, time_ns in times.items() if path.stat().st_mtime_ns != time_ns}
    assert again == set(layout.tiles.glob("a_*"))


@pytest.mark.parametrize(
    "other",
    [
        *({"tile_px": 80}, {"overlap_px": 0}, {"min_share": 1.0}, {"empty_share": 0.9}),
        *({"jpeg_quality": 30}, {"image_format": "png"}, {"train_splits": ("*",)}),
        {"virtual": True},
    ],
    ids=str,
)
def test_other_options_leave_nothing_of_the_first_run(layout, tmp_path, other):
    options = dataclasses.replace(OPTIONS, **other)
    tile_set(layout, options)
    fresh = contents(layout.folder)
    tile_set(layout, OPTIONS)
    assert contents(layout.folder) != fresh
    tile_set(layout, options)
    assert contents(layout.folder) == fresh


def test_the_splits_that_are_named_are_those_that_are_there(layout):
    tile_set(layout, OPTIONS)
    tile_set(layout, OPTIONS, splits=["test_*"])
    names = {path.name for path in layout.annotations_folder.glob("*_tiles.json")}
    assert names == {"test_0_tiles.json", "test_1_tiles.json"}
    assert not list(layout.tiles.glob("b_*"))
    with pytest.raises(UserError, match=r"Received val; there are train_0, test_0, test_1\."):
        tile_set(layout, OPTIONS, splits=["test_0", "val"])


def test_a_changed_photo_needs_its_boxes_imported_again(layout, tmp_path):
    tile_set(layout, OPTIONS)
    write_photo(tmp_path / "photos" / "b.png", (101, 140))
    with pytest.raises(UserError, match=r"b\.png, which changed"):
        tile_set(layout, OPTIONS)


def test_unreadable_photos_are_all_named_and_nothing_is_complete(layout, tmp_path):
    tile_set(layout, OPTIONS)
    for name in ("a.png", "c.png"):
        path = tmp_path / "photos" / name
        path.write_bytes(path.read_bytes()[:-80])
    layout = write_set(tmp_path / "set", tmp_path / "photos", SPLITS)
    with pytest.raises(UserError, match=r"(?s)Received 2 that are not.*a\.png.*c\.png"):
        tile_set(layout, OPTIONS)
    assert "tiles" not in read_json(layout.manifest)
    assert not list(layout.annotations_folder.glob("*_tiles.json"))


def test_a_full_disk_is_told_leaves_no_tiles_complete_and_the_next_run_goes_on(layout, monkeypatch):
    tile_set(layout, dataclasses.replace(OPTIONS, tile_px=80))
    cut_photo = tile_set_module.cut_photo

    def fill_disk(photo, **others):
        assert "tiles" not in read_json(layout.manifest)  # from the first change on
        if photo.file_name == "c.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        return cut_photo(photo, **others)

    with monkeypatch.context() as patch:
        patch.setattr(tile_set_module, "cut_photo", fill_disk)
        with pytest.raises(UserError, match=r"No space left on device.*--virtual\.$"):
            tile_set(layout, OPTIONS)
    assert "tiles" not in read_json(layout.manifest)
    assert not list(layout.annotations_folder.glob("*_tiles.json"))
    assert "c.png" not in (layout.folder / "tiles.jsonl").read_text()
    tile_set(layout, OPTIONS)
    assert "tiles" in read_json(layout.manifest)


def test_virtual_tiles_are_those_of_png_without_their_pictures(tmp_path):
    write_photo(tmp_path / "photos" / "x" / "a.png", (100, 150))
    layout = write_set(tmp_path / "set", tmp_path / "photos", {"test": ["x/a.png"]})
    tile_set(layout, dataclasses.replace(OPTIONS, image_format="png"))
    written = contents(layout.annotations_folder)
    assert len(list((layout.tiles / "x").glob("a_y*.png"))) == 12  # below the photo's folder
    tile_set(layout, dataclasses.replace(OPTIONS, virtual=True))
    assert contents(layout.annotations_folder) == written
    assert not layout.tiles.exists()
    assert read_json(layout.manifest)["tiles"]["options"]["virtual"] is True


@pytest.mark.parametrize("folder", ["tiles", "annotations"])
def test_nothing_is_written_through_a_link_out_of_the_set(layout, tmp_path, folder):
    outside, place = tmp_path / "outside", layout.folder / folder
    layout.tiles.mkdir()
    place.rename(outside)
    place.symlink_to(outside)
    before = contents(outside)
    with pytest.raises(UserError, match="a link to"):
        tile_set(layout, OPTIONS)
    assert contents(outside) == before


def test_a_link_in_the_place_of_a_tile_is_replaced(layout, tmp_path):
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    layout.tiles.mkdir()
    (layout.tiles / "c_y00000_x00000.jpg").symlink_to(victim)
    tile_set(layout, OPTIONS)
    assert victim.read_text() == "precious"
    assert not (layout.tiles / "c_y00000_x00000.jpg").is_symlink()


def test_a_split_that_leaves_the_folder_is_refused(layout):
    manifest = read_json(layout.manifest)
    manifest["splits"] = {"../../out": {}}
    layout.manifest.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"Received '\.\./\.\./out'"):
        tile_set(layout, OPTIONS)


NAMES = [f"{i:02d}.png" for i in range(8)]
PNG = TileOptions(tile_px=64, overlap_px=48, image_format="png")
COMMAND = ["--tile", "64", "--overlap", "48", "--format", "png", "--workers", "2"]


@pytest.mark.parametrize("cut_photos", [0, 3])
def test_a_killed_run_is_finished_with_the_same_bytes(tmp_path, cut_photos, repo_root):
    for name in NAMES:
        write_photo(tmp_path / "photos" / name, (260, 300))
    splits = {"train": NAMES[4:], "test": NAMES[:4]}
    whole = write_set(tmp_path / "whole", tmp_path / "photos", splits)
    killed = write_set(tmp_path / "killed", tmp_path / "photos", splits)
    tile_set(whole, PNG)
    journal = killed.folder / "tiles.jsonl"
    command = [sys.executable, "-m", "acnet.cli.main", "data", "tile", killed.folder, *COMMAND]
    with subprocess.Popen(command, cwd=repo_root, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if journal.is_file() and journal.read_text().count("\n") > cut_photos:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.001)
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    assert "tiles" not in json.loads(killed.manifest.read_text())
    cut_before = set(journal.read_text().splitlines()[1:])
    times = {path.name: path.stat().st_mtime_ns for path in killed.tiles.glob("*.png")}
    for folder in (killed.folder, killed.annotations_folder):  # as of a kill while it was written
        (folder / ".file.0123456789ab.tmp.json").touch()

    tile_set(killed, PNG)
    assert contents(killed.folder) == contents(whole.folder)
    for line in cut_before:  # what was finished is not done again
        for name in json.loads(line)["tiles"]:
            assert (killed.tiles / name).stat().st_mtime_ns == times[name]
