"""The import: any format to COCO files, what is left out, and runs that are interrupted."""

import numpy as np
import pytest
from pycocotools.coco import COCO

from acnet.data import import_set as module
from acnet.data.import_set import import_report
from acnet.data.prepared_set import FOLD_SPLITS, PreparedLayout
from acnet.data.readers.formats import open_source
from acnet.data.readers.safe_files import read_json
from acnet.data.records import write_coco
from acnet.errors import UserError
from acnet.photos.read import read_size
from tests.data.samples import contents, import_folder, interrupt
from tests.data.small_sets import BOXES, SETS, coco, voc, write, yolo, yolo_folders


@pytest.fixture
def layout(tmp_path):
    return PreparedLayout.of_folder(tmp_path / "sets" / "acne")


def run(src, layout, **options):
    return import_folder(src, layout.folder, **options)


@pytest.mark.parametrize("name", SETS)
def test_every_format_becomes_coco(tmp_path, layout, name):
    SETS[name](tmp_path / "src")
    imported = run(tmp_path / "src", layout)
    for split in imported.splits:
        truth = COCO(str(layout.annotations(split)))
        for entries in (truth.imgs, truth.anns):
            assert sorted(entries) == [*range(1, len(entries) + 1)]
        for image in truth.imgs.values():
            assert (image["height"], image["width"]) == (30, 40)
            assert (imported.image_root / image["file_name"]).is_file()
            x, y, width, height = truth.imgToAnns[image["id"]][0]["bbox"]
            np.testing.assert_allclose([x, y, x + width, y + height], BOXES[0])
    manifest = read_json(layout.manifest)
    assert manifest["complete"] is True
    assert manifest["format"] == name.partition(":")[0]
    assert len(manifest["pictures"]) == 4
    assert len(manifest["inputs"]) == len(open_source(tmp_path / "src").inputs)
    assert manifest["class_names"] == list(imported.class_names)


@pytest.mark.parametrize(("write_source", "flag"), [(voc, "difficult"), (coco, "iscrowd")])
def test_flags_survive(tmp_path, layout, write_source, flag):
    write_source(tmp_path / "src")
    run(tmp_path / "src", layout)
    entries = read_json(layout.annotations("train"))["annotations"]
    assert [entry.get(flag, 0) for entry in entries] == [0, 1, 0, 1]


@pytest.fixture
def src(tmp_path):
    """A set as Roboflow exports them."""
    yolo(tmp_path / "src")
    return tmp_path / "src"


def test_classes_are_mapped_and_what_is_left_out_is_counted(src, layout):
    imported = run(src, layout, class_map={"scar": "lesion"})
    assert imported.class_names == ("lesion",)
    assert imported.notes.counts() == {"object dropped: name 'acne'": 8}  # two on each of four
    assert read_json(layout.manifest)["dropped"] == imported.notes.counts()
    assert len(layout.dropped.read_text().splitlines()) == 4
    imported = run(src, layout, one_class="acne")
    assert sum(len(r.boxes_xyxy) for records in imported.splits.values() for r in records) == 12


def test_only_some_splits(src, layout):
    run(src, layout)
    run(src, layout, splits=["v*"])
    assert [path.name for path in layout.annotations_folder.iterdir()] == ["val.json"]
    with pytest.raises(UserError, match=r"Received tset; there are train, val\."):
        run(src, layout, splits=["tset"])
    assert read_json(layout.manifest)["complete"] is True  # of the run before


def test_twice_with_more_processes_and_with_copies_gives_the_same(src, layout):
    run(src, layout)
    first = contents(layout.folder)
    run(src, layout, workers=2)
    assert contents(layout.folder) == first
    run(src, layout, copy_images=True)
    copied = contents(layout.folder)
    assert {name for name in copied if name.startswith("images/")} == {
        f"images/{name}" for name in read_json(layout.manifest)["pictures"]
    }
    assert read_json(layout.manifest)["image_root"] == "images"
    assert copied["annotations/train.json"] == first["annotations/train.json"]


def test_unreadable_files_stop_the_run_and_are_all_named(src, layout):
    photo = src / "train" / "images" / "a.jpg"
    photo.write_bytes(photo.read_bytes()[:-60])  # its header is whole
    (src / "valid" / "labels" / "c.txt").write_bytes(b"0 0.5 \xff\n")
    assert read_size(photo) == (30, 40)
    with pytest.raises(UserError, match=r"(?s)Received 2.*a\.jpg.*c\.txt.*--skip-unreadable\.$"):
        run(src, layout)
    assert read_json(layout.manifest) == {"complete": False}
    imported = run(src, layout, skip_unreadable=True)
    assert imported.notes.counts() == {"photo dropped: unreadable": 2}
    assert [len(records) for records in imported.splits.values()] == [1, 1]


@pytest.mark.parametrize(("suffix", "text"), [("png", ""), ("txt", "0 9 9 0.1 0.1\n")])
def test_nothing_is_left(tmp_path, layout, suffix, text):
    yolo_folders(tmp_path / "src")
    for path in (tmp_path / "src").rglob(f"?.{suffix}"):
        path.write_text(text)
    with pytest.raises(UserError, match=r"None of the 4 .*an annotation.*--annotation-root\.$"):
        run(tmp_path / "src", layout, skip_unreadable=True)


def test_an_interrupted_run_is_marked_and_mended(src, layout, monkeypatch):
    run(src, layout)
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_coco", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(src, layout)
    assert read_json(layout.manifest)["complete"] is False
    left = layout.annotations_folder / ".train.0123456789ab.tmp.json"
    left.write_text("what a kill leaves")
    write_coco(layout.annotations("train", tiles=True), [], ["acne"])  # of the earlier photos
    run(src, layout)
    names = {path.name for path in layout.annotations_folder.iterdir()}
    assert names == {"train.json", "val.json"}


@pytest.mark.parametrize(
    "manifest", [None, "[]", "{", '{"name": "my app"}', '{"complete": true, "splits": ["a"]}']
)
def test_other_files_are_left_alone(src, layout, tmp_path, manifest):
    write(layout.folder / "annotations" / "mine.json", "precious")
    if manifest is not None:  # an app's or an add-on's
        write(layout.manifest, manifest)
    before = contents(layout.folder)
    with pytest.raises(UserError, match=r"no manifest\.json of a prepared set"):
        run(src, layout, copy_images=True)
    assert contents(layout.folder) == before
    write(tmp_path / "file", "")
    with pytest.raises(UserError, match="a file"):
        import_folder(src, tmp_path / "file")


def test_only_its_own_files_leave_a_prepared_set(src, layout):
    run(src, layout, copy_images=True)
    write(layout.annotations_folder / "mine.json", "precious")
    write(layout.images / "only_copy.jpg", "precious")
    run(src, layout, copy_images=True, splits=["val"])
    there = contents(layout.folder)
    assert {name for name in there if name.startswith("images/")} == {
        *("images/valid/images/c.jpg", "images/valid/images/d.jpg", "images/only_copy.jpg")
    }
    assert [there[name] for name in ("annotations/mine.json", "images/only_copy.jpg")] == (
        [b"precious"] * 2
    )
    for name in ("annotations/train.json", "images/train/images/a.jpg"):
        write(layout.folder / name, "precious")
        with pytest.raises(UserError, match=f"only files of its own.*{name} of another origin"):
            run(src, layout, copy_images=True)
        assert read_json(layout.manifest)["complete"] is True
        (layout.folder / name).unlink()


def test_copies_of_an_interrupted_run_are_its_own(src, layout, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_coco", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(src, layout, copy_images=True)
    write(layout.images / "train/images/a.jpg", "half")
    run(src, layout, copy_images=True, splits=["val"])
    assert not list((layout.images / "train").rglob("*.jpg"))


@pytest.mark.parametrize("options", [{"class_map": {"typo": "acne"}}, {"splits": ["typo"]}])
def test_a_wrong_option_spoils_no_earlier_set(src, layout, options):
    run(src, layout)
    before = contents(layout.folder)
    with pytest.raises(UserError, match="typo"):
        run(src, layout, **options)
    assert contents(layout.folder) == {**before, "dropped.txt": layout.dropped.read_bytes()}


def test_a_set_is_not_imported_into_its_source_nor_over_itself(src, layout):
    with pytest.raises(UserError, match="apart from its source"):
        import_folder(src, src / "coco")
    assert not (src / "coco").exists()
    run(src, layout)
    with pytest.raises(UserError, match="apart from its source"):
        run(layout.folder, layout)
    assert read_json(layout.manifest)["complete"] is True


def test_a_prepared_set_can_be_imported_again(src, layout):
    write(layout.folder / ".manifest.0123456789ab.tmp.json", "")  # of a run that was killed
    run(src, layout)
    layout.annotations("train", tiles=True).write_text('{"images": []}')
    imported = import_folder(layout.folder, layout.root / "one", one_class="acne")
    numbers = {split: len(records) for split, records in imported.splits.items()}
    assert numbers == {"train": 2, "val": 2}
    assert imported.image_root == src


def test_names_in_other_forms_and_cases_and_missing_halves(tmp_path, layout):
    composed, decomposed = "\u00e9", "e\u0301"  # as Windows and macOS write one letter
    voc(tmp_path / "src")
    base = tmp_path / "src" / "VOCdevkit" / "VOC2012"
    (base / "Annotations" / "c.xml").unlink()  # missing halves are counted
    (base / "JPEGImages" / "d.jpg").unlink()
    (base / "JPEGImages" / "a.jpg").rename(base / "JPEGImages" / f"{decomposed}.JPG")
    (base / "Annotations" / "a.xml").rename(base / "Annotations" / f"{composed}.xml")
    (base / "ImageSets" / "Main" / "train.txt").write_text(f"{composed}.jpg\nB\n", "utf-8")
    imported = run(tmp_path / "src", layout)
    assert [r.file_name for r in imported.splits["train"]] == ["b.jpg", f"{decomposed}.JPG"]
    assert imported.notes.counts() == {
        "photo dropped: listed, not found": 1,
        "photo dropped: no annotation": 1,
    }


def test_the_report_says_what_is_there_and_what_is_not(src, layout):
    labels = src / "train" / "labels"
    (labels / "a.txt").rename(labels / "z.txt")
    (src / "valid" / "labels" / "c.txt").unlink()
    text = import_report(run(src, layout), open_source(src))
    rows = [line.split() for line in text.splitlines()]
    assert ["acne_train", "1", "3", "0"] in rows  # photos, boxes, photos without
    assert ["all,", "each", "once", "3", "6", "1"] in rows
    assert "photo dropped: no annotation" in text  # whose label may be z.txt
    assert "photo without a label file: no boxes" in text
    assert "train/labels/z.txt" in text
    assert str(src.parent) not in text
    assert "classes: acne, scar" in text


def test_five_folds_partition_the_photos(toy_photos, layout):
    imported = run(toy_photos, layout)
    assert tuple(imported.splits) == FOLD_SPLITS
    names = {split: {r.file_name for r in records} for split, records in imported.splits.items()}
    everything = names["trainval_0"] | names["test_0"]
    assert sorted(name for i in range(5) for name in names[f"test_{i}"]) == sorted(everything)
    assert all(names[f"trainval_{i}"] == everything - names[f"test_{i}"] for i in range(5))
