"""A photo's record in the folder of results: what is kept of it, by which a run goes on."""

import json

import pytest

from acnet.evaluation.count_model import NUM_TRAITS
from acnet.photos.draw import PICTURE_MARK
from acnet.photos.worker import Part, PartStore

ROW = {"category_id": 2, "bbox": [1.0, 2.0, 3.0, 5.0], "score": 0.5}


@pytest.fixture
def store(tmp_path) -> PartStore:
    return PartStore(tmp_path)


def part(store: PartStore, *files: str, drawn: str = "now") -> Part:
    for file in files:
        (store.output / file).parent.mkdir(exist_ok=True)
        (store.output / file).write_text(PICTURE_MARK)
    named = {"attention" if "attention" in file else "picture": file for file in files}
    return Part(
        image_hw=(5, 7),
        rows=[ROW],
        seconds=0.5,
        photo_size_px=7,
        drawn=drawn,
        files=named,
        traits=[0.0] * NUM_TRAITS,
    )


def test_what_is_written_is_read(store):
    written = part(store, "pictures/a.jpg")
    store.write("a", written)
    assert store.read("a") == written


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", '{"format": 0}', '{"format": 1}', "nonsense"]
)
def test_missing_damaged_and_older_parts_are_none(store, content):
    store.folder.mkdir()
    if content is not None:
        (store.folder / "a.json").write_text(content)
    assert store.read("a") is None
    assert not store.has("a", "now")


def test_a_part_is_finished_when_its_pictures_are_there_as_wanted(store):
    store.write("a", part(store, "pictures/a.jpg"))
    assert store.has("a", "now")
    assert not store.has("a", "with other labels")
    (store.output / "pictures" / "a.jpg").unlink()
    assert not store.has("a", "now")


def test_failures_are_kept_until_they_are_forgotten(store):
    store.write_failure("a", "cut short")
    store.write("b", part(store))
    assert store.read_failure("a") == "cut short"
    assert store.read_failure("b") is None
    store.forget_failures()
    assert store.read_failure("a") is None
    assert store.has("b", "now")


def test_parts_of_other_runs_go_with_their_pictures(store):
    store.write("a", part(store, "pictures/a.jpg"))
    store.write("old", part(store, "pictures/b.jpg", "attention/b.jpg"))
    (store.output / "pictures" / "of the user.jpg").write_text("not ours")
    store.keep_only({"a"})
    names = sorted(path.name for path in store.output.rglob("*") if path.is_file())
    assert names == ["a.jpg", "a.json", "of the user.jpg"]


def test_a_picture_that_both_runs_name_stays(store):
    store.write("new", part(store, "pictures/a.jpg"))
    store.write("old", part(store, "pictures/a.jpg"))
    store.keep_only({"new"})
    assert store.has("new", "now")


@pytest.mark.parametrize("file", ["../outside.jpg", "/etc/outside", "..", "a/../outside"])
def test_a_part_cannot_name_files_outside(store, file):
    store.write("old", part(store))
    path = store.folder / "old.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "files": {"picture": file}}))
    outside = store.output.parent / "outside.jpg"
    outside.write_text("of somebody else")
    assert store.read("old") is None
    store.keep_only(set())
    assert outside.exists()
    assert not path.exists()
