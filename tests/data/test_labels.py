"""Boxes written for other tools come back to a hundredth of a pixel, found or annotated."""

import dataclasses
import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acnet.cli.labels import FORMS, UNFINISHED
from acnet.cli.main import main
from acnet.data.readers.coco_set import NO_COUNT, open_results
from acnet.data.readers.formats import open_source
from acnet.data.records import write_coco
from tests.data.samples import record, write_photo, write_results

SIZES_WH = {"a.png": (640, 480), "more/b.jpg": (3111, 2333)}
FOUND_WH = {"a.png": (640, 480), "b.jpg": (8000, 4000)}
BOX_PX = 0.01


@pytest.fixture
def annotated(tmp_path):
    """Return a COCO file of two photos with 20 boxes of two classes each, and the boxes."""
    path, records = tmp_path / "set" / "train.json", []
    for name, (width, height) in SIZES_WH.items():
        write_photo(path.parent / name, (height, width))
        corners = np.random.default_rng(width).uniform(0, 1, (20, 2, 2)) * (width, height)
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        classes = np.arange(20) % 2
        records.append(record(name, *boxes, image_hw=(height, width), classes=classes))
    write_coco(path, records, ["papule", "ächne <1>"])
    return path, {one.file_name: one.boxes_xyxy for one in records}


@pytest.fixture
def results(tmp_path):
    """Return a folder as `acnet predict` leaves it, of a small photo and a copy made smaller."""
    folder = tmp_path / "results"
    (folder / "photos").mkdir(parents=True)
    for name, size_wh in {"a.jpg": (640, 480), "b.jpg": (5600, 2800)}.items():
        Image.new("RGB", size_wh).save(folder / "photos" / name)
    found = {
        name: [([10 * number, 20, 30, 40.5], score) for score in (0.9, 0.6, 0.3)]
        for number, name in enumerate(FOUND_WH, start=1)
    }
    write_results(folder, FOUND_WH, found)
    return folder


def read_label_studio(folder):
    """Read tasks by the formula of Label Studio's manual: shares of the picture in percent."""
    found = {}
    for task in json.loads((folder / "train.json").read_text()):
        name = task["data"]["image"].removeprefix("/data/local-files/?d=")
        rows = []
        for one in task["predictions"][0]["result"]:
            value, wh = one["value"], (one["original_width"], one["original_height"])
            corner = np.array([value["x"], value["y"]]) * wh / 100
            side = np.array([value["width"], value["height"]]) * wh / 100
            rows.append((value["rectanglelabels"][0], [*corner, *(corner + side)]))
        found[name] = rows
    return found


def read_cvat(folder):
    found = {}
    for image in ET.parse(folder / "train.xml").getroot().iter("image"):
        corners = ("xtl", "ytl", "xbr", "ybr")
        rows = [(b.get("label"), [float(b.get(key)) for key in corners]) for b in image.iter("box")]
        found[image.get("name")] = rows
    return found


def read_back(form, folder):
    if form == "labelstudio":
        return read_label_studio(folder)
    if form == "cvat":
        return read_cvat(folder)
    source = open_source(folder)
    photos = {name: source.read(name) for names in source.splits.values() for name in names}
    return {
        name.removeprefix("images/"): list(zip(one.names, one.boxes_xyxy, strict=True))
        for name, one in photos.items()
    }


@pytest.mark.parametrize("form", FORMS)
def test_boxes_come_back(form, annotated, tmp_path, capsys):
    source, expected = annotated
    left = tmp_path / "labels" / UNFINISHED / "labels" / "of a killed run.txt"
    left.parent.mkdir(parents=True)
    left.touch()
    assert main(["labels", str(source), "--as", form, "--copy-images", *out(tmp_path)]) == 0
    assert "40 boxes of 2 photos" in capsys.readouterr().out
    assert not (tmp_path / "labels" / UNFINISHED).exists()
    found = read_back(form, tmp_path / "labels")
    assert found.keys() == expected.keys()
    for name, rows in found.items():
        assert [label for label, _ in rows] == ["papule", "ächne <1>"] * 10
        ours = np.array([box for _, box in rows])
        np.testing.assert_allclose(ours, expected[name], rtol=0, atol=BOX_PX)


def out(tmp_path):
    return ["--output", str(tmp_path / "labels")]


def test_what_was_found_is_a_data_set(results, tmp_path):
    source = open_source(results)
    assert source.format == "results"
    small, large = (source.read(name) for name in source.splits["predictions"])
    np.testing.assert_allclose(small.boxes_xyxy, [[10, 20, 40, 60.5]] * 2)
    assert large.image_hw == (2800, 5600)
    np.testing.assert_allclose(large.boxes_xyxy, np.array([[20, 20, 50, 60.5]] * 2) * 0.7)
    # The photos themselves are found by their names.
    for name, size_wh in FOUND_WH.items():
        write_photo(tmp_path / "originals" / name, size_wh[::-1])
    source = open_source(results, image_root=tmp_path / "originals")
    assert source.splits["predictions"] == ("a.png", "b.jpg")
    np.testing.assert_allclose(source.read("b.jpg").boxes_xyxy, [[20, 20, 50, 60.5]] * 2)


def change_images(results, change):
    content = json.loads((results / "images.json").read_text())
    change(content["images"])
    (results / "images.json").write_text(json.dumps(content))


def test_copies_are_those_that_the_results_name(results):
    # As where a.jpg could not be read, which lay beside a.png.
    (results / "photos" / "a.jpg").rename(results / "photos" / "a.png.jpg")
    change_images(results, lambda images: images[0].update(copy="photos/a.png.jpg"))
    source = open_source(results)
    assert source.splits["predictions"] == ("a.png.jpg", "b.jpg")
    assert source.read("a.png.jpg").image_hw == (480, 640)
    change_images(results, lambda images: images[0].update(copy="photos/../../b.jpg"))
    assert open_source(results).splits["predictions"] == ("b.jpg",)


def test_photos_without_a_count_are_no_data(results, tmp_path, capsys, caplog):
    change_images(results, lambda images: [one.update(has_count=one["id"] == 1) for one in images])
    source = open_source(results)
    assert source.splits["predictions"] == ("a.jpg",)
    assert [(note.kind, note.file_name) for note in source.notes] == [(NO_COUNT, "b.jpg")]
    assert len(open_results(results, uncounted=True).splits["predictions"]) == 2
    assert main(["labels", str(results), "--as", "coco", *out(tmp_path)]) == 0
    assert "2 boxes of 1 photos" in capsys.readouterr().out
    assert NO_COUNT in caplog.text


def test_results_without_photos_need_an_image_root(results, capsys, tmp_path):
    shutil.rmtree(results / "photos")
    assert main(["data", "import", str(results), str(tmp_path / "set")]) == 2
    assert "Give the photos' folder by --image-root" in capsys.readouterr().err


def test_found_boxes_are_checked_imported_and_taken_from_a_score(results, tmp_path, capsys):
    assert main(["data", "import", str(results), str(tmp_path / "set")]) == 0
    content = json.loads((tmp_path / "set" / "annotations" / "predictions.json").read_text())
    assert len(content["annotations"]) == 4
    assert main(["data", "check", str(results)]) in (0, 1)
    words = ["labels", str(results), "--as", "coco", "--score-threshold", "0.2"]
    capsys.readouterr()
    assert main(words + out(tmp_path)) == 0
    assert "6 boxes of 2 photos" in capsys.readouterr().out
    assert main(words + out(tmp_path)) == 2
    assert "is there already; name another folder" in capsys.readouterr().err


def test_unreadable_photos_are_left_out_unless_it_is_all(annotated, tmp_path, capsys, caplog):
    path, _ = annotated
    (path.parent / "a.png").write_bytes(b"no photo")
    assert main(["labels", str(path), "--as", "yolo", "--output", str(tmp_path / "some")]) == 0
    assert "a.png is left out" in caplog.text
    assert "20 boxes of 1 photos" in capsys.readouterr().out
    (path.parent / "more" / "b.jpg").write_bytes(b"no photo")
    assert main(["labels", str(path), "--as", "yolo", "--output", str(tmp_path / "none")]) == 2
    assert "none can be read" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_written_is_told(annotated, tmp_path, capsys, caplog):
    content = json.loads(annotated[0].read_text())
    content["categories"][0]["name"] = "pap\x01ule"
    content["images"][0]["file_name"] = "../../gone.png"
    content["annotations"][-1]["bbox"] = [9000, 9000, 5, 5]
    annotated[0].write_text(json.dumps(content))
    assert main(["labels", str(annotated[0]), "--as", "yolo", *out(tmp_path)]) == 2
    assert r"Received 'pap\x01ule'; rename it" in capsys.readouterr().err
    assert not (tmp_path / "labels").exists()
    assert main(["labels", str(annotated[0]), "--as", "coco", *out(tmp_path)]) == 0
    assert "19 boxes of 1 photos" in capsys.readouterr().out
    for kind in ("box dropped: outside the photo", "its name leads out of the folder"):
        assert kind in caplog.text


def test_refusals_name_the_remedy(annotated, results, tmp_path, capsys):
    words = ["labels", str(annotated[0]), "--as", "coco", "--score-threshold", "0.2"]
    assert main(words + out(tmp_path)) == 2
    assert "which is no folder of results; leave it out" in capsys.readouterr().err
    content = (results / "images.json").read_text().replace('"threshold"', '"other"')
    (results / "images.json").write_text(content)
    assert main(["labels", str(results), "--as", "coco", *out(tmp_path)]) == 2
    assert "where they are damaged (KeyError 'threshold')" in capsys.readouterr().err


@pytest.fixture
def write_labels(tmp_path, capsys):
    """Return a function that writes a COCO file of records, its labels, and what is said."""

    def write_both(form, *records):
        for one in records:
            write_photo(tmp_path / "set" / one.file_name, (one.height, one.width))
        write_coco(tmp_path / "set" / "train.json", records, ["acne"])
        words = ["labels", str(tmp_path / "set"), "--as", form, "--copy-images"]
        return main(words + out(tmp_path)), "".join(capsys.readouterr())

    return write_both


BOX = (10, 10, 40, 40)


@pytest.mark.parametrize("form", ["yolo", "voc"])
def test_photos_that_would_share_a_label_file_are_refused(form, write_labels, tmp_path):
    status, said = write_labels(form, record("a.jpg", BOX), record("a.png", BOX, BOX))
    assert status == 2
    assert "Received a.jpg and a.png, both of which would have a." in said
    assert not list((tmp_path / "labels").iterdir())


def test_yolo_finds_labels_by_the_last_folder_called_images(write_labels, tmp_path):
    assert write_labels("yolo", record("train/images/a.jpg", BOX))[0] == 0
    listed = (tmp_path / "labels" / "train.txt").read_text().strip()
    photo = tmp_path / "labels" / listed
    assert photo.is_file()
    path = "/labels/".join(f"{photo.resolve()}".rsplit("/images/", 1))  # Ultralytics'
    assert len(Path(path).with_suffix(".txt").read_text().splitlines()) == 1
    shutil.rmtree(tmp_path / "labels")
    status, said = write_labels("yolo", record("train/images/a.jpg"), record("train/a.jpg", BOX))
    assert status == 2
    assert "both of which would have train/a.txt" in said


@pytest.mark.parametrize("form", FORMS)
def test_crowds_become_no_lesions_elsewhere(form, write_labels, tmp_path, caplog):
    marked = {
        name: dataclasses.replace(record(name, *boxes), crowd=np.array(crowd))
        for name, boxes, crowd in (
            ("a.jpg", [BOX, (0, 0, 90, 70)], [False, True]),
            ("b.jpg", [(0, 0, 90, 70)], [True]),
        )
    }
    status, said = write_labels(form, *marked.values(), record("c.jpg"))
    assert status == 0
    if form == "coco":
        assert "3 boxes of 3 photos" in said
        return
    assert "1 boxes of 2 photos" in said
    assert "1 photos left out" in said
    assert "left out crowd regions, which only COCO marks as such: 2" in caplog.text
    found = read_back(form, tmp_path / "labels")
    assert {name: [list(box) for _, box in rows] for name, rows in found.items()} == {
        "a.jpg": [pytest.approx(BOX)],
        "c.jpg": [],
    }
