"""ACNE04 to COCO, whole: folds, tiles, what is dropped, and a run that was interrupted."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from acnet.data import import_set as module
from acnet.data.import_set import ImportOptions, import_set
from acnet.data.prepared_set import FOLD_SPLITS, PreparedLayout, portable_path
from acnet.data.readers.acne04 import open_acne04
from acnet.data.tiles.tile_plan import TileOptions
from acnet.data.tiles.tile_set import tile_set
from acnet.errors import UserError
from tests.data.samples import TOY_COUNT, annotation_xml, write_archives

REPO_ROOT = Path(__file__).resolve().parents[2]
SMALL_TILES = TileOptions(tile_px=64, overlap_px=32, empty_share=0.3)
ONE_BOX = annotation_xml([("fore", (11, 6, 20, 15))])


def prepare(source, layout, tiles=SMALL_TILES, **options):
    """Imports and cuts; gives the counts and the notes."""
    imported = import_set(source, layout, ImportOptions(**options))
    return tile_set(layout, tiles, workers=options.get("workers", 1)), imported.notes


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def layout(tmp_path) -> PreparedLayout:
    return PreparedLayout(tmp_path / "datasets", "toy")


def test_five_folds_partition_the_photos(toy_photos, layout):
    counts, notes = prepare(open_acne04(toy_photos), layout)
    assert notes.items == []
    assert tuple(count.split for count in counts) == FOLD_SPLITS
    tested = []
    for fold in range(5):
        train, test = (
            {image["file_name"] for image in read(layout.annotations(f"{split}_{fold}"))["images"]}
            for split in ("trainval", "test")
        )
        assert train.isdisjoint(test)
        assert len(train | test) == TOY_COUNT
        tested += sorted(test)
    assert len(tested) == len(set(tested)) == TOY_COUNT


def test_tiles_return_to_the_photos_boxes(toy_photos, layout):
    prepare(open_acne04(toy_photos), layout)
    photos = read(layout.annotations("test_0"))
    tiles = read(layout.annotations("test_0", tiles=True))
    for content in (photos, tiles):
        for part in ("images", "annotations"):
            assert [entry["id"] for entry in content[part]] == [*range(1, len(content[part]) + 1)]
    truth = {(a["image_id"], *a["bbox"]) for a in photos["annotations"]}
    name_of_id = {image["id"]: image["file_name"] for image in photos["images"]}
    image_of_id = {image["id"]: image for image in tiles["images"]}
    back = set()
    for annotation in tiles["annotations"]:
        image = image_of_id[annotation["image_id"]]
        assert name_of_id[image["photo_id"]] == image["photo_file_name"]
        x, y, width, height = annotation["bbox"]
        left, top = image["offset_xy"]
        back.add((image["photo_id"], x + left, y + top, width, height))
    assert truth
    assert truth <= back  # lesions are smaller than the overlap, so each is whole in some tile


def test_training_takes_fewer_empty_tiles_than_there_are(toy_photos, layout):
    counts, _ = prepare(open_acne04(toy_photos), layout)
    train = next(c for c in counts if c.split == "trainval_0")
    others = [c for c in counts if c.split.startswith("test") and c.split != "test_0"]
    # The photos that fold 0 trains on are those that the other folds test, with all their tiles.
    assert train.tile_boxes == sum(c.tile_boxes for c in others)
    full = sum(c.tiles - c.empty_tiles for c in others)
    assert train.tiles - train.empty_tiles == full
    assert 0 < train.empty_tiles < sum(c.empty_tiles for c in others)
    entries = read(layout.annotations("trainval_0", tiles=True))
    assert len(entries["images"]) == train.tiles
    assert len(entries["annotations"]) == train.tile_boxes


def test_twice_and_with_more_processes_gives_the_same_bytes(toy_photos, layout, tmp_path):
    source = open_acne04(toy_photos)
    prepare(source, layout)
    first = contents(layout.folder)
    prepare(source, layout, workers=2)
    assert contents(layout.folder) == first


def test_other_options_leave_nothing_of_the_first_run(toy_photos, layout, tmp_path):
    source = open_acne04(toy_photos)
    prepare(source, layout)
    prepare(source, layout, TileOptions(), splits=["*_2"])
    fresh = PreparedLayout(tmp_path / "fresh", "toy")
    prepare(source, fresh, TileOptions(), splits=["*_2"])
    assert contents(layout.folder) == contents(fresh.folder)
    names = {path.name for path in layout.annotations_folder.iterdir()}
    assert names == {
        f"{split}_2{tiles}.json" for split in ("trainval", "test") for tiles in ("", "_tiles")
    }
    assert len(list(layout.tiles.iterdir())) == TOY_COUNT  # each photo is one tile of 640


def test_what_was_dropped_is_counted_and_listed(tmp_path, layout):
    faulty = annotation_xml([("fore", (11, 6, 20, 15)), ("cold_sore", (1, 1, 5, 5))])
    photos = {f"levle0_{i}.jpg": ((30, 40), faulty if i == 2 else ONE_BOX) for i in range(4)}
    source = open_acne04(write_archives(tmp_path / "ACNE04", photos))
    (source.annotation_root / "levle0_3.xml").unlink()
    counts, notes = prepare(source, layout, TileOptions())
    assert notes.counts() == {
        "object dropped: name 'cold_sore'": 1,
        "photo dropped: no annotation": 1,
    }
    assert [(c.photos, c.boxes) for c in counts if c.split == "trainval_0"] == [(2, 2)]
    lines = layout.dropped.read_text().splitlines()
    assert [line.split("\t")[1] for line in lines] == ["levle0_2.jpg", "levle0_3.jpg"]
    assert read(layout.manifest)["dropped"] == notes.counts()


def test_corrupt_files_stop_the_run_and_are_all_named(tmp_path, layout):
    photos = {f"levle0_{i}.jpg": ((200, 200), ONE_BOX) for i in range(4)}
    source = open_acne04(write_archives(tmp_path / "ACNE04", photos))
    jpeg = source.image_root / "levle0_1.jpg"
    jpeg.write_bytes(jpeg.read_bytes()[:-1500])
    (source.annotation_root / "levle0_2.xml").write_text("<annotation>")
    with pytest.raises(UserError, match=r"(?s)levle0_1\.jpg.*levle0_2\.xml.*--skip-unreadable\.$"):
        prepare(source, layout, TileOptions())
    assert read(layout.manifest)["complete"] is False

    counts, notes = prepare(source, layout, TileOptions(), skip_unreadable=True)
    assert notes.counts() == {"photo dropped: unreadable": 2}
    assert [(c.split, c.photos) for c in counts] == [("trainval_0", 1), ("test_0", 1)]


def test_an_interrupted_run_is_marked_and_mended(toy_photos, layout, monkeypatch):
    source = open_acne04(toy_photos)

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_coco", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(source, layout)
    assert read(layout.manifest) == {"complete": False}
    layout.tiles.mkdir()
    (layout.tiles / ".levle0_0.abc.tmp.jpg").write_bytes(b"what a kill leaves")
    prepare(source, layout)
    assert read(layout.manifest)["complete"] is True
    assert not list(layout.tiles.glob(".*"))


def test_a_folder_with_other_files_is_left_alone(toy_photos, layout):
    layout.folder.mkdir(parents=True)
    (layout.folder / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match=r"no manifest\.json.*--dst or --prefix\.$"):
        prepare(open_acne04(toy_photos), layout)
    assert contents(layout.folder) == {"thesis.txt": b"precious"}


def test_a_fold_that_is_not_there(toy_photos, layout):
    with pytest.raises(UserError, match=r"Received \*_7; there are trainval_0, test_0"):
        prepare(open_acne04(toy_photos), layout, splits=["*_0", "*_7"])
    assert not layout.folder.exists()


def test_lists_that_match_no_photo(tmp_path, layout):
    source = open_acne04(
        write_archives(tmp_path / "ACNE04", {f"a{i}.jpg": ((30, 40), ONE_BOX) for i in range(2)})
    )
    for path in source.image_root.iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"None of the 2 listed photos.*--annotation-root\.$"):
        prepare(source, layout, TileOptions())


def test_a_source_beside_the_set_moves_with_it(tmp_path):
    layout = PreparedLayout(tmp_path / "datasets", "toy")
    assert portable_path(tmp_path / "datasets" / "src" / "photos", layout) == "../src/photos"
    assert portable_path(tmp_path / "elsewhere", layout) == "../../elsewhere"


def test_the_script_prints_a_table_and_errors(toy_photos, tmp_path):
    script = [sys.executable, str(REPO_ROOT / "datasets" / "prepare_acne04.py")]
    shutil.copytree(toy_photos, tmp_path / "datasets" / "ACNE04")
    arguments = ["--dst", str(tmp_path / "datasets"), "--prefix", "toy", "--workers", "1"]
    run = {"cwd": REPO_ROOT, "capture_output": True, "text": True, "check": False}
    environment = {"env": {"PYTHONPATH": str(REPO_ROOT)}}
    done = subprocess.run([*script, *arguments], **run, **environment)
    assert done.returncode == 0, done.stderr
    assert "toy_trainval_4" in done.stdout
    assert "nothing was dropped or changed" in done.stdout
    failed = subprocess.run([*script, "--src", str(tmp_path / "none")], **run, **environment)
    assert failed.returncode == 2
    assert "Traceback" not in failed.stderr
    assert "A data set is read from a folder" in failed.stderr
    refused = subprocess.run([*script, "--overlap", "640"], **run, **environment)
    assert refused.returncode == 2
    assert "--overlap" in refused.stderr


def test_every_listed_photo_of_the_toy_set_exists(toy_photos):
    source = open_acne04(toy_photos)
    names = {name for members in source.splits.values() for name in members}
    assert {path.name for path in source.image_root.iterdir()} == names
