"""A photo's file, the tables of all, and hashes that tell what decides them."""

import csv
import dataclasses
import json
import os

import pytest
import torch
from detectron2.structures import Boxes, Instances

from acnet.config import load_config
from acnet.evaluation.count_model import NUM_TRAITS
from acnet.files import file_sha256
from acnet.inference.trained_model import config_digest
from acnet.photos.count import PhotoCount
from acnet.photos.draw import PICTURE_MARK
from acnet.photos.results import (
    FailedPhoto,
    PhotoResult,
    arrays_of,
    digest,
    photo_digest,
    rows_of,
    versions,
    write_results,
)
from acnet.photos.sources import Source
from acnet.photos.worker import Part, PartStore
from acnet.visualization.lesion_visualizer import instances_of

TRAITS = [0.0] * NUM_TRAITS
ROW = {"category_id": 2, "bbox": [1.0, 2.0, 3.0, 5.0], "score": 0.5}


def result(image_id: int, count: PhotoCount) -> PhotoResult:
    return PhotoResult(
        image_id=image_id,
        name=f"{image_id}.jpg",
        image_hw=(5, 7),
        rows=[],
        count=count,
        seconds=1.234,
        photo_size_px=640,
    )


def write(folder, results, failed=(), rows=()) -> None:
    named = {"class_names": ["acne", "scar"], "info": {"merge": "nms"}}
    write_results(folder, results, failed, rows=iter(rows), **named)


def read_csv(path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_rows_and_instances_are_the_same_detections():
    instances = Instances((5, 7))
    instances.pred_boxes = Boxes(torch.tensor([[1.0, 2.0, 4.0, 7.0]]))
    instances.scores = torch.tensor([0.5])
    instances.pred_classes = torch.tensor([1])
    arrays = (instances.pred_boxes.tensor, instances.scores, instances.pred_classes)
    assert rows_of(*(one.numpy() for one in arrays)) == [ROW]
    back = instances_of([ROW], (5, 7))
    assert back.image_size == (5, 7)
    assert back.pred_boxes.tensor.tolist() == [[1, 2, 4, 7]]
    assert back.pred_classes.tolist() == [1]


def test_no_detections_go_there_and_back():
    assert rows_of(*arrays_of([])) == []
    assert len(instances_of([], (5, 7))) == 0


def test_a_threshold_takes_the_same_detections_from_rows_and_instances():
    # 0.7 in single precision is below 0.7.
    score = torch.tensor([0.7]).item()
    assert score < 0.7
    assert not (instances_of([{**ROW, "score": score}], (5, 7)).scores >= 0.7).any()


def test_files_are_coco(tmp_path):
    rows = [{"image_id": 3, **ROW}, {"image_id": 3, **ROW}]
    write(tmp_path, [result(1, PhotoCount(count=0)), result(3, PhotoCount(count=1))], rows=rows)
    assert json.loads((tmp_path / "predictions.json").read_text()) == rows
    content = json.loads((tmp_path / "images.json").read_text())
    assert [image["id"] for image in content["images"]] == [1, 3]
    assert content["images"][0] == {
        "id": 1,
        "file_name": "1.jpg",
        "width": 7,
        "height": 5,
        "photo_size_px": 640,
    }
    assert content["categories"] == [{"id": 1, "name": "acne"}, {"id": 2, "name": "scar"}]
    assert content["info"] == {"merge": "nms"}


def test_cells_that_need_a_count_model_are_empty_without_one(tmp_path):
    unlike = PhotoCount(count=None, note="unlike")
    fitted = PhotoCount(count=8, low=2, high=14, grade=1, counted="x")
    write(tmp_path, [result(1, PhotoCount(count=3)), result(2, fitted), result(3, unlike)])
    assert read_csv(tmp_path / "counts.csv") == [
        ["photo", "count", "low", "high", "grade", "counted", "note", "seconds", "photo_size_px"],
        ["1.jpg", "3", "", "", "", "", "", "1.23", "640"],
        ["2.jpg", "8", "2", "14", "1", "x", "", "1.23", "640"],
        ["3.jpg", "", "", "", "", "", "unlike", "1.23", "640"],
    ]


def test_lesions_are_a_table_of_their_own(tmp_path):
    rows = [{**ROW, "probability": 0.25}, ROW]
    write(tmp_path, [dataclasses.replace(result(1, PhotoCount(count=2)), rows=rows)])
    assert read_csv(tmp_path / "lesions.csv") == [
        ["photo", "x", "y", "width", "height", "class", "score", "probability"],
        ["1.jpg", "1.0", "2.0", "3.0", "5.0", "scar", "0.5", "0.25"],
        ["1.jpg", "1.0", "2.0", "3.0", "5.0", "scar", "0.5", ""],
    ]


def test_failures_are_a_table_that_goes_when_there_are_none(tmp_path):
    write(tmp_path, [], [FailedPhoto(name="a, b.jpg", reason='cut "short"\nhere')])
    assert read_csv(tmp_path / "failed.csv") == [
        ["photo", "reason"],
        ["a, b.jpg", 'cut "short"\nhere'],
    ]
    write(tmp_path, [])
    assert not (tmp_path / "failed.csv").exists()
    assert json.loads((tmp_path / "predictions.json").read_text()) == []


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
        traits=TRAITS,
    )


def test_what_is_written_is_read(store):
    written = part(store, "pictures/a.jpg")
    store.write("a", written)
    assert store.read("a") == written


def test_what_is_not_there_is_none(store):
    assert store.read("a") is None
    assert not store.has("a", "now")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 0}', '{"format": 1}', "nonsense"])
def test_damaged_and_older_parts_are_none(store, content):
    store.folder.mkdir()
    (store.folder / "a.json").write_text(content)
    assert store.read("a") is None


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


CONFIG = "toy/acnet_r18"


def test_equal_content_has_one_hash():
    assert digest({"a": 1, "b": [2, None]}) == digest({"b": [2, None], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_functions_stand_for_their_names():
    assert digest([os.path.join]) == digest([os.path.join])
    assert digest([os.path.join]) != digest([os.path.split])


def test_a_file_is_hashed_whole(tmp_path):
    (tmp_path / "a").write_bytes(bytes(5_000_000))
    (tmp_path / "b").write_bytes(bytes(4_999_999) + b"x")
    assert file_sha256(tmp_path / "a") != file_sha256(tmp_path / "b")


@pytest.mark.parametrize(
    ("override", "decides"),
    [
        ("model.roi_heads.box_predictor.test_topk_per_image=7", True),
        ("model.backbone.gate=product", True),
        ("train.amp.enabled=false", True),
        ("train.output_dir=elsewhere", False),
        ("train.max_iter=1", False),
        ("optimizer.lr=1", False),
        ("dataloader.train.total_batch_size=1", False),
    ],
)
def test_training_has_no_say(override, decides):
    base = config_digest(load_config(CONFIG, ["train.amp.enabled=auto"]))
    changed = config_digest(load_config(CONFIG, ["train.amp.enabled=auto", override]))
    assert (base != changed) == decides


def test_a_photo_is_known_by_name_time_size_and_ends(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(300_000))
    os.utime(path, (1, 1))
    first = photo_digest(Source(path, "a.jpg", "a"))
    assert photo_digest(Source(path, "a.jpg", "a")) == first
    assert photo_digest(Source(path, "a.jpg", "b")) != first
    os.utime(path, (2, 2))
    assert photo_digest(Source(path, "a.jpg", "a")) != first
    for place in (0, 299_999):
        content = bytearray(300_000)
        content[place] = 1
        path.write_bytes(content)
        os.utime(path, (1, 1))
        assert photo_digest(Source(path, "a.jpg", "a")) != first


def test_a_photo_that_is_not_there_has_a_hash_too(tmp_path):
    missing = Source(tmp_path / "no.jpg", "no.jpg", "no")
    assert photo_digest(missing) == photo_digest(missing)


def test_versions_are_those_that_compute():
    assert {"acnet", "cv2", "torch", "pillow"} <= versions().keys()
    assert versions()["cv2"]  # whichever of its packages brought it
    assert versions(["no-such-package"])["no-such-package"] == ""
