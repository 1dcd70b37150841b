"""COCO files: what is read, row by row, and how faults are told."""

import copy
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from acnet.errors import UserError
from acnet.evaluation import (
    coco_files,
    detections_from_rows,
    ground_truth_from_coco,
    read_ground_truth,
    read_predictions,
)
from tests.evaluation.random_sets import random_set

TRUTH = {
    "images": [
        {"id": 7, "file_name": "b.jpg", "width": 640, "height": 480},
        {"id": 3, "file_name": "a.jpg", "width": 100, "height": 200},
    ],
    "categories": [{"id": 9, "name": "nodule"}, {"id": 2, "name": "papule"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4], "iscrowd": 1},
        {"id": 2, "image_id": 3, "category_id": 9, "bbox": [5, 6, 7.5, 8], "area": 50.5},
        {"id": 3, "image_id": 7, "category_id": 9, "bbox": [0, 0, 1, 1], "difficult": 1},
    ],
}
ROW = {"image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5}


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_ground_truth_by_hand(tmp_path):
    truth = read_ground_truth(write(tmp_path / "gt.json", TRUTH))
    assert truth.image_ids.tolist() == [3, 7]
    assert truth.file_names == ("a.jpg", "b.jpg")
    assert truth.image_hw.tolist() == [[200, 100], [480, 640]]
    assert truth.category_ids.tolist() == [2, 9]
    assert truth.class_names == ("papule", "nodule")
    assert truth.photo.tolist() == [0, 1, 1]
    assert truth.classes.tolist() == [1, 0, 1]
    assert truth.boxes_xyxy.tolist() == [[5, 6, 12.5, 14], [1, 2, 4, 6], [0, 0, 1, 1]]
    assert truth.areas.tolist() == [50.5, 12, 1]
    assert truth.crowd.tolist() == [False, True, False]
    assert truth.difficult.tolist() == [False, False, True]
    assert truth.counts().tolist() == [1, 1]


def test_predictions_by_hand(tmp_path):
    rows = [
        ROW,
        ROW | {"image_id": 3, "score": 1},
        ROW | {"category_id": 9, "score": 0.7, "segmentation": {"counts": "[,]}"}},
    ]
    path = write(tmp_path / "predictions.json", json.dumps(rows, indent=2))
    detections = read_predictions(path, ground_truth_from_coco(TRUTH))
    assert detections.photo.tolist() == [0, 1, 1]
    assert detections.classes.tolist() == [0, 1, 0]
    assert detections.scores.tolist() == [1, 0.7, 0.5]
    assert detections.boxes_xywh.tolist() == [[1, 2, 3, 4]] * 3


def test_no_annotations_and_no_predictions(tmp_path):
    truth = ground_truth_from_coco({**TRUTH, "annotations": []})
    assert len(truth) == 0
    assert truth.counts().tolist() == [0, 0]
    assert truth.boxes_xyxy.shape == (0, 4)
    detections = read_predictions(write(tmp_path / "none.json", " [ ] \n"), truth)
    assert len(detections) == 0
    assert detections.boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize("read_bytes", [1, 7, 2**20])
def test_reading_in_chunks_gives_the_same_rows(tmp_path, monkeypatch, read_bytes):
    monkeypatch.setattr(coco_files, "READ_BYTES", read_bytes)
    content, results = random_set(0)
    truth = ground_truth_from_coco(content)
    from_file = read_predictions(write(tmp_path / "predictions.json", results), truth)
    in_memory = detections_from_rows(results, truth)
    assert len(in_memory) > 40
    for name in ("photo", "classes", "boxes_xywh", "scores"):
        assert np.array_equal(getattr(from_file, name), getattr(in_memory, name))


def test_the_file_is_never_in_memory_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(coco_files, "READ_BYTES", 100)
    rows = coco_files.read_json_rows(write(tmp_path / "cut_off.json", "[" + '{"a": 1}, ' * 1000))
    assert sum(1 for _ in itertools.islice(rows, 1000)) == 1000  # before its end is looked at
    with pytest.raises(UserError, match="row 1000"):
        next(rows)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", r"row 0 from 0: it does not start with \["),
        ('{"item": [{}]}', r"row 0 from 0: it does not start with \["),
        ("[", "row 0 from 0: parse error: premature EOF"),
        ('[{"a": 1}', "row 1 from 0: parse error: premature EOF"),
        ('[{"a": 1} {"a": 1}]', "row 1 from 0: parse error: after array element"),
        ('[{"a": 1}, {"a": 2', "row 1 from 0: parse error: premature EOF"),
        ('[{"a": 1}] x', "row 1 from 0: parse error: trailing garbage"),
        ("[NaN]", "row 0 from 0: lexical error.* NaN is no number of JSON"),
        ("[1" + "0" * 5000 + "]", "row 0 from 0: parse error: integer overflow"),
        ("[" * 100_000, "row 0 from 0: it is nested too deeply"),
        ('[{"a":' * 100_000, "row 0 from 0: it is nested too deeply"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, text, fault):
    path = write(tmp_path / "predictions.json", text)
    with pytest.raises(UserError, match=f"predictions.json, {fault}"):
        list(coco_files.read_json_rows(path))


def test_a_row_without_end_is_refused_before_all_of_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(coco_files, "READ_BYTES", 10)
    monkeypatch.setattr(coco_files, "LONGEST_ROW_BYTES", 50)
    with pytest.raises(UserError, match=r"row 0 from 0: it is .* longer than 4 MiB"):
        list(coco_files.read_json_rows(write(tmp_path / "long.json", '["' + "x" * 1000 + '"]')))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"image_id": 0}, "image_id must be one of the ground truth's ids, not 0"),
        ({"image_id": 4}, "image_id must be one of the ground truth's ids, not 4"),
        ({"image_id": True}, "image_id must be one of the ground truth's ids, not True"),
        ({"image_id": [7]}, r"image_id must be one of the ground truth's ids, not \[7\]"),
        ({"category_id": 1}, "category_id must be one of the ground truth's ids, not 1"),
        ({"category_id": "2"}, "category_id must be one of the ground truth's ids, not '2'"),
        ({"bbox": [1, 2, 3]}, "bbox must be four finite numbers"),
        ({"bbox": None}, "bbox must be four finite numbers"),
        ({"bbox": [1, 2, "3", 4]}, "bbox must be four finite numbers"),
        ({"bbox": [1, 2, 1e10, 4]}, "bbox must be four finite numbers"),
        ({"bbox": [1, 2, -3, 4]}, "width and height must not be negative"),
        ({"score": None}, "score must be a finite number, not None"),
        ({"score": True}, "score must be a finite number, not True"),
    ],
)
def test_faults_of_a_row_name_file_and_row(tmp_path, change, fault):
    path = write(tmp_path / "predictions.json", [ROW, ROW, ROW | change])
    with pytest.raises(UserError, match=f"predictions.json, row 2 from 0: {fault}"):
        read_predictions(path, ground_truth_from_coco(TRUTH))


@pytest.mark.parametrize(
    "change", [{"bbox": [1, 2, float("nan"), 4]}, {"bbox": [1, 2, 10**400, 4]}, {"score": 1e999}]
)
def test_numbers_that_are_none_are_refused_in_files_and_in_memory(tmp_path, change):
    truth = ground_truth_from_coco(TRUTH)
    with pytest.raises(UserError, match="row 1 from 0"):
        read_predictions(write(tmp_path / "predictions.json", [ROW, ROW | change]), truth)
    with pytest.raises(UserError, match=r"row 1 from 0: .* finite number"):
        detections_from_rows([ROW, ROW | change], truth)


def test_a_row_must_be_an_object(tmp_path):
    path = write(tmp_path / "predictions.json", [ROW, 5])
    with pytest.raises(UserError, match="row 1 from 0: it must be an object, not 5"):
        read_predictions(path, ground_truth_from_coco(TRUTH))


@pytest.mark.parametrize(
    ("section", "change", "fault"),
    [
        ("images", {"id": 0}, "id must be an integer from 1, .* not 0"),
        ("annotations", {"id": 0}, "id must be an integer from 1, .* not 0"),
        ("categories", {"id": 0}, "id must be an integer from 1, .* not 0"),
        ("annotations", {"id": "1"}, "id must be an integer from 1, .* not '1'"),
        ("images", {"id": 3}, "with the id 3 2 times"),
        ("annotations", {"id": 2}, "with the id 2 2 times"),
        ("categories", {"name": "papule"}, "with the name 'papule' 2 times"),
        ("categories", {"name": None}, "name must be text, not None"),
        ("images", {"file_name": 5}, "file_name must be text, not 5"),
        ("images", {"width": 0}, "width must be a positive integer, not 0"),
        ("images", {"height": 1.5}, "height must be a positive integer, not 1.5"),
        ("annotations", {"image_id": 4}, "image_id must be one of the ground truth's ids, not 4"),
        ("annotations", {"category_id": 1}, "category_id must be one of .* ids, not 1"),
        ("annotations", {"bbox": [1, 2, 3, -4]}, "width and height must not be negative"),
        ("annotations", {"bbox": [1, 2, 3, float("nan")]}, "bbox must be four finite numbers"),
        ("annotations", {"iscrowd": 2}, "iscrowd must be 0 or 1, not 2"),
        ("annotations", {"difficult": "no"}, "difficult must be 0 or 1, not 'no'"),
        ("annotations", {"area": -1}, "area must be a finite number of at least 0, not -1"),
        ("annotations", {"area": None}, "area must be a finite number of at least 0, not None"),
    ],
)
def test_faults_of_ground_truth_name_file_and_place(tmp_path, section, change, fault):
    content = copy.deepcopy(TRUTH)
    content[section][0].update(change)
    with pytest.raises(UserError, match=rf"gt.json.*{fault}"):
        read_ground_truth(write(tmp_path / "gt.json", content))


@pytest.mark.parametrize("name", ["images", "categories", "annotations"])
def test_sections_must_be_there(name):
    for broken in ({}, {name: None}, {name: {}}):
        content = {key: value for key, value in TRUTH.items() if key != name} | broken
        with pytest.raises(UserError, match=f"Received ground truth, with no {name}"):
            ground_truth_from_coco(content)


def test_predictions_in_place_of_ground_truth_are_told_apart(tmp_path):
    with pytest.raises(UserError, match="Give the file of annotations, not that of predictions"):
        read_ground_truth(write(tmp_path / "predictions.json", [ROW]))


@pytest.mark.parametrize("text", ['{"images": ', "", "[" * 100_000, b"\xff\xfe"])
def test_what_is_no_json_is_refused(tmp_path, text):
    path = tmp_path / "gt.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=r"JSON in UTF-8. Received .*gt.json"):
        read_ground_truth(path)
    with pytest.raises(UserError, match=r"JSON list of rows in UTF-8.* Received .*gt.json"):
        list(coco_files.read_json_rows(path))


def test_a_missing_file_is_no_traceback(tmp_path):
    for read in (read_ground_truth, lambda path: list(coco_files.read_json_rows(path))):
        with pytest.raises(UserError, match=r"Received .*none.json: No such file"):
            read(tmp_path / "none.json")
